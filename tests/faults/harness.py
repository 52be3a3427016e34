"""Real workers on real records with a broker of their own, what can be done to them, and what must hold afterwards.

How a scenario is written: ask for the fixtures `scene` (run once on SQLite, once on PostgreSQL) and `recovery`.

    def test_a_killed_worker_is_survived(scene: Scene, recovery: Recovery) -> None:
        scene.start_workers(2)
        job = scene.submit()                        # [203] of everything for everybody at one location
        child = scene.catch_inside(job)             # a child in the middle of its chunk's transaction
        child.worker.kill()                         # or child.process.kill(), .suspend(), …
        began = time.monotonic()
        scene.wait_for_users(job, child.users)      # those users are done
        recovery("worker killed", time.monotonic() - began)
        scene.wait_for_end(job)
        scene.assert_exactly_once(job)

`scene.broker` can be killed, frozen, emptied and starved of disk; `scene.database` is the database;
`scene.environment` is what processes are started with; `scene.run(…)` runs a command of the program. Settings
of one worker are given as words: `scene.start_worker(CHUNK_HARD_LIMIT_SECONDS=20)`. Nothing sleeps: wait with
`eventually(condition)`, and freeze for a time with `for_seconds`. Every process is ended with the scene.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from jobs.database import Database
from jobs.following import JobStatus
from jobs.model import JobState, Kind, Outcome, Rows
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from tests.faults import records
from tests.faults.broker import Broker, Gauge
from tests.installation import Worker, eventually
from tests.small import Row, chunks_of

LEASE_SECONDS = 2.0
RECOVERY_SECONDS = LEASE_SECONDS + 5.0
"""How soon another worker must have done what a killed one held."""
WINDOW = 8

SHORT_SETTINGS = {
    "LEASE_SECONDS": LEASE_SECONDS,
    "HEARTBEAT_SECONDS": 0.5,
    "LEADER_LEASE_SECONDS": 2,
    "HOUSEKEEPING_SECONDS": 0.2,
    "DISPATCH_TIMEOUT_SECONDS": 1,
    "STATEMENT_TIMEOUT_SECONDS": 1.5,
    "CHUNK_HARD_LIMIT_SECONDS": 3,
    "CHUNK_DEADLINE_SECONDS": 4,
    "BROKER_VISIBILITY_SECONDS": 5,
    "BROKER_SOCKET_SECONDS": 1,
    "BROKER_CONNECT_SECONDS": 1,
    "SHUTDOWN_SECONDS": 5,
    "CHUNK_SIZE_START": 10,
    "WINDOW": WINDOW,
}

Recovery = Callable[[str, float], None]
"""Notes how many seconds a scenario took to recover; shown at the end of the run."""

REQUEST = ResetRequest(
    kind=Kind.TRAINING,
    users=UserSelection(all_users=True),
    content=ContentSelection(all_content=True),
    location=records.LOCATION,
)
SUBMIT = (
    *("submit", "training", "--all-users", "--location", f"{records.LOCATION}", "--all-content"),
    *("--reason", "a new year", "--chunk-size", "10", "--yes"),
)
"""The same as words of the command line."""


def for_seconds(seconds: float) -> None:
    """Let a fault last so long."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= until, seconds + 5)


class CeleryWorker(Worker):
    """A Celery worker, started as operators of Celery do: its pool, and the housekeeper beside it."""

    def housekeeper(self) -> psutil.Process:
        """Give the housekeeper."""
        return next(child for child in self._family() if _is_housekeeper(child))

    def children(self) -> list[psutil.Process]:
        """Give the processes that run chunks."""
        return [child for child in self._family() if not _is_housekeeper(child)]

    def freeze(self, *, housekeeper: bool = True) -> None:
        """Stop the worker and its children, and the housekeeper too unless told otherwise."""
        self.process.suspend()
        for process in self.children() + ([self.housekeeper()] if housekeeper else []):
            process.suspend()

    def thaw(self) -> None:
        """Let everything go on that was frozen."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _family(self) -> list[psutil.Process]:
        return [child for child in self.process.children() if child.status() != psutil.STATUS_ZOMBIE]


def _is_housekeeper(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "worker.housekeeper" in process.cmdline()
    return False


@dataclass(frozen=True)
class AtWork:
    """A child that holds a chunk."""

    worker: CeleryWorker
    process: psutil.Process
    chunk: Row

    @property
    def users(self) -> range:
        """The ordinals of the chunk's users."""
        return range(self.chunk["first_ordinal"], self.chunk["last_ordinal"] + 1)


class Scene:
    """Records in a fresh database, a broker, and the workers that are started on them.

    Args:
        directory: for the data directory and the logs.
        database_url: a copy of the suite's records.
        broker: a broker of its own, running.
        steps_per_second: how fast SQLite is here, see `records`.

    """

    def __init__(self, directory: Path, database_url: str, broker: Broker, steps_per_second: int) -> None:
        self.database = Database(database_url)
        self.broker = broker
        self.workers: list[CeleryWorker] = []
        self.gauge = Gauge(broker)
        self._children = 0
        self._slow = 0
        self._directory = directory
        self._steps_per_second = steps_per_second
        self.environment = self._environment_with(SHORT_SETTINGS) | {
            "TRAINING_RESET_HOME": str(directory / "home"),
            "TRAINING_RESET_DATABASE_URL": database_url,
            "TRAINING_RESET_BROKER_URL": broker.url,
        }

    def close(self) -> None:
        """End every process that was started."""
        for worker in self.workers:
            worker.kill()
        self.database.close()

    # Processes.

    def start_worker(self, *arguments: str, concurrency: int = 1, **settings: object) -> CeleryWorker:
        """Start a worker and return at once.

        Args:
            arguments: further ones of `celery worker`.
            concurrency: how many chunks it runs at once.
            settings: other than `SHORT_SETTINGS`.

        """
        number = len(self.workers)
        command = [
            *(sys.executable, "-P", "-m", "celery", "-A", "worker.app", "worker"),
            *("--without-gossip", "--without-mingle", "--loglevel", "INFO", "--hostname", f"{number}@%h"),
            *("--concurrency", f"{concurrency}", *arguments),
        ]
        self._children += concurrency
        self.workers.append(
            CeleryWorker(
                command, self._directory / f"worker-{number}.log", self.environment | self._environment_with(settings)
            )
        )
        return self.workers[-1]

    def start_workers(self, number: int, **settings: Any) -> list[CeleryWorker]:  # noqa: ANN401 - of `start_worker`
        """Start several workers at once, and wait until they consume."""
        started = [self.start_worker(**settings) for _ in range(number)]
        for worker in started:
            worker.wait_until_ready()
        return started

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the program as `root`."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", "--as", "root", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    # Jobs.

    def submit(self, **options: Any) -> int:  # noqa: ANN401 - any option of a job
        """Record [203] of everything for everybody at the location; housekeeping dispatches it.

        Args:
            options: those of `JobOptions`; chunks have 10 users unless told otherwise.

        """
        words = JobOptions(**{"reason": "a new year", "chunk_size": 10} | options)
        return self.administration.submit(REQUEST, words)[0].id

    @property
    def administration(self) -> Administration:
        """The use cases of `root`."""
        return Administration(self.database, "root")

    def status(self, job: int) -> JobStatus:
        """Give the status of a job."""
        return self.administration.status(job)

    def done(self, job: int) -> int:
        """Count the users of a job that are done."""
        return self.status(job).totals.done

    def wait_for_progress(self, job: int, users: int = 1) -> None:
        """Wait until so many more users are done, and the job is not."""
        wanted = self.done(job) + users
        eventually(lambda: self.done(job) >= wanted, 20, self.tell)
        assert not self.status(job).job.state.ended, "over before anything could be done to it"

    def wait_for_users(self, job: int, ordinals: range, seconds: float = RECOVERY_SECONDS) -> None:
        """Wait until the users of these ordinals are done."""
        eventually(lambda: set(ordinals) <= self._ordinals_done(job), seconds, self.tell)

    def wait_for_end(self, job: int, seconds: float = 30) -> JobStatus:
        """Wait until a job has ended."""
        eventually(lambda: self.status(job).job.state.ended, seconds, self.tell)
        return self.status(job)

    def tell(self) -> str:
        """Give what is known, where a test fails."""
        chunks = [
            f"{c['id']}: {c['first_ordinal']}-{c['last_ordinal']} {c['state']} fence {c['fence']} of {c['process_id']}"
            for c in chunks_of(self.database)
            if c["state"] != "done"
        ]
        logs = [f"worker {number}\n{worker.log()[-6000:]}" for number, worker in enumerate(self.workers)]
        return "\n".join(["not done:", *chunks, *logs])

    def _ordinals_done(self, job: int) -> set[int]:
        done = [chunk for chunk in chunks_of(self.database, job) if chunk["state"] == "done"]
        return {n for chunk in done for n in range(chunk["first_ordinal"], chunk["last_ordinal"] + 1)}

    # Faults inside a chunk.

    def be_slow(self, ordinal: int, seconds: float) -> None:
        """Let the chunk that holds this target take so many seconds longer, in the middle of its transaction."""
        amount = int(seconds * self._steps_per_second) if self.database.dialect == "sqlite" else seconds
        with self.database.write() as connection:
            users = records.targets(connection)
            query = text(
                "SELECT user_id, min(id) FROM attempts WHERE user_id >= :user GROUP BY user_id ORDER BY user_id"
            )
            user, attempt = connection.execute(query, {"user": users[ordinal]}).first() or (None, None)
            assert user in users, "nobody from there on has an attempt left"
            connection.execute(text("DELETE FROM slow_attempts"))
            slow = text("INSERT INTO slow_attempts VALUES (:attempt, :amount)")
            connection.execute(slow, {"attempt": attempt, "amount": amount})
        self._slow = users.index(user)

    def be_fast(self) -> None:
        """Let no chunk be slow that begins from now on."""
        with self.database.write() as connection:
            connection.execute(text("DELETE FROM slow_attempts"))

    def catch_inside(self, job: int, seconds: float = 1) -> AtWork:
        """Wait until a child is in the middle of the transaction of a chunk, where it stays for about a second."""
        self.be_slow(self._next_ordinal(job) + 2 * WINDOW, seconds)
        return eventually(lambda: self._inside(job), 20, self.tell)  # type: ignore[no-any-return]

    def _next_ordinal(self, job: int) -> int:
        return self.status(job).job.next_ordinal

    def _inside(self, job: int) -> AtWork | None:
        chunk = next((c for c in chunks_of(self.database, job) if self._slow in _ordinals(c)), None)
        if chunk is None or chunk["state"] != "claimed" or not self._is_slow_now():
            return None
        for worker in self.workers:
            for process in worker.processes():
                if process.pid == chunk["process_id"]:
                    return AtWork(worker, process, chunk)
        return None

    def _is_slow_now(self) -> bool:
        """Tell whether a transaction is in the middle of being slow."""
        if self.database.dialect == "postgresql":
            with self.database.read() as connection:
                query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
                return connection.exec_driver_sql(query).first() is not None
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            if self._write_lock_is_free():
                return False
        return True

    def _write_lock_is_free(self) -> bool:
        with self.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE").close()
            except OperationalError:
                return False
            finally:
                connection.exec_driver_sql("PRAGMA busy_timeout = 30000")
        return True

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Let no other process write to SQLite meanwhile."""
        with self.database.write():
            yield

    # What must hold.

    def assert_exactly_once(
        self, job: int, state: JobState = JobState.SUCCEEDED, *, failed: int = 0, duplicates: int = 0
    ) -> None:
        """Compare records, archive, chunks and report of a job that has ended with what was before.

        Args:
            job: one of `submit`, the only one that changed anything.
            state: how it must have ended.
            failed: how many users must be reported as failed.
            duplicates: how many messages a test itself added to those of the window.

        """
        status = self.status(job)
        assert (status.job.state, status.totals.failed) == (state, failed), self.tell()
        report = list(self.administration.report(job))
        treated = [line.user_id for line in report if line.outcome in (Outcome.CHANGED, Outcome.UNCHANGED)]
        with self.database.read() as connection:
            assert [line.user_id for line in report] == records.targets(connection)
            expected = records.expected_rows(connection)
        for line in report:
            rows = expected[line.user_id]
            if line.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED):
                assert line.rows == Rows(), line
                continue
            assert line.rows == _rows(rows), line
            assert line.outcome == (Outcome.CHANGED if any(rows.values()) else Outcome.UNCHANGED), line
        if state in (JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES):
            assert len(treated) == len(report) - failed
        with self.database.write() as connection:
            records.assert_reset_once(connection, job, treated)
        self._assert_chunks(job, [expected[user] for user in treated])
        assert list(self.administration.verify(job)) == []
        # A worker that is killed leaves what its children had taken: one message each, and one fetched ahead.
        assert self.gauge.most <= WINDOW + 2 * self._children + duplicates

    def _assert_chunks(self, job: int, treated: list[Mapping[str, int]]) -> None:
        chunks = [chunk for chunk in chunks_of(self.database, job) if chunk["state"] == "done"]
        ordinals = [ordinal for chunk in chunks for ordinal in _ordinals(chunk)]
        assert len(ordinals) == len(set(ordinals)), "a user in two chunks"
        for name, table in _COUNTERS.items():
            assert sum(chunk[name] for chunk in chunks) == sum(rows[table] for rows in treated), name
        totals = self.status(job).totals
        assert totals.rows == sum((_rows(rows) for rows in treated), Rows())
        assert totals.changed == sum(1 for rows in treated if any(rows.values()))
        assert totals.done == len(ordinals)

    @staticmethod
    def _environment_with(settings: Mapping[str, object]) -> dict[str, str]:
        ours = {f"TRAINING_RESET_{name}": str(value) for name, value in settings.items()}
        return dict(os.environ) | ours


_COUNTERS = {"attempts_erased": "attempts", "chapters_reset": "chapter_progress", "courses_reset": "course_progress"}


def _rows(rows: Mapping[str, int]) -> Rows:
    return Rows(**{name: rows[table] for name, table in _COUNTERS.items()})


def _ordinals(chunk: Row) -> range:
    return range(chunk["first_ordinal"], chunk["last_ordinal"] + 1)
