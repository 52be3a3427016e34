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
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from jobs.database import Database
from jobs.errors import Conflict
from jobs.following import JobStatus
from jobs.model import JobState, Outcome, Rows
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.steering import Steering
from tests.faults import records
from tests.faults.broker import Broker, Gauge
from tests.faults.processes import AtWork, CeleryWorker
from tests.faults.settings import RECOVERY_SECONDS, REQUEST, ROOT, SHORT_SETTINGS, WINDOW
from tests.installation import eventually
from tests.small import Row, chunks_of
from worker.configuration import SILENT


def for_seconds(seconds: float) -> None:
    """Let a fault last so long."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= until, seconds + 5)


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
        return self._start(
            *("-m", "celery", "-A", "worker.app", "worker", *SILENT),
            *("--loglevel", "INFO", "--hostname", f"{len(self.workers)}@%h", "--concurrency", f"{concurrency}"),
            *arguments,
            concurrency=concurrency,
            settings=settings,
        )

    def _start(self, *arguments: str, concurrency: int, settings: Mapping[str, object]) -> CeleryWorker:
        log = self._directory / f"worker-{len(self.workers)}.log"
        environment = self.environment | self._environment_with(settings)
        self._children += concurrency
        self.workers.append(CeleryWorker([sys.executable, "-P", *arguments], log, environment))
        return self.workers[-1]

    def start_workers(self, number: int, *arguments: str, **options: Any) -> list[CeleryWorker]:  # noqa: ANN401 - of one
        """Start several workers at once as `start_worker` does, and wait until they consume."""
        started = [self.start_worker(*arguments, **options) for _ in range(number)]
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

    def run_script(self, name: str, *arguments: str) -> int:
        """Run a script of this directory and give its exit code."""
        command = [sys.executable, "-P", str(Path(__file__).with_name(name)), *arguments]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, timeout=60, check=False)
        return done.returncode

    # Jobs.

    def submit(self, **options: Any) -> int:  # noqa: ANN401 - any option of a job
        """Record [203] of everything for everybody at the location; housekeeping dispatches it.

        Args:
            options: those of `JobOptions`; chunks have 10 users unless told otherwise.

        """
        words = JobOptions(**{"reason": "a new year", "chunk_size": 10} | options)
        return self.administration.submit(REQUEST, words)[0].id

    def hurry(self, job: int) -> None:
        """Let a job that was submitted with a `max_rate` go as fast as it can; it may have ended."""
        with suppress(Conflict):
            Steering(self.database, "root").set_pace(job, max_rate=1_000_000, priority=None)

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

    def lost_and_retried(self, job: int) -> tuple[int, int]:
        """Count what chunks cost: processes that were lost, and tries that counted."""
        chunks = chunks_of(self.database, job)
        return sum(chunk["losses"] for chunk in chunks), sum(chunk["retries"] for chunk in chunks)

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
        logs = [line for number in range(len(self.workers)) for line in self._last_words(number)]
        return "\n".join(["not done:", *chunks, *logs])

    def _last_words(self, number: int) -> list[str]:
        lines = [
            line for line in self.workers[number].log().splitlines() if line.startswith(("{", "worker:", "Process"))
        ]
        return [f"worker {number}", *(line[:300] for line in lines[-25:] if "Task training_reset" not in line)]

    def _ordinals_done(self, job: int) -> set[int]:
        done = [chunk for chunk in chunks_of(self.database, job) if chunk["state"] == "done"]
        return {n for chunk in done for n in range(chunk["first_ordinal"], chunk["last_ordinal"] + 1)}

    # Faults inside a chunk.

    def be_slow(self, ordinal: int, seconds: float) -> None:
        """Let the chunk that holds this target take so many seconds longer, in the middle of its transaction."""
        with self.database.write() as connection:
            users = records.targets(connection)
            query = text(
                "SELECT user_id, min(id) FROM attempts WHERE user_id >= :user GROUP BY user_id ORDER BY user_id"
            )
            user, attempt = connection.execute(query, {"user": users[ordinal]}).first() or (None, None)
            assert user in users, "nobody from there on has an attempt left"
            connection.execute(text("DELETE FROM slow_attempts"))
            slow = text("INSERT INTO slow_attempts VALUES (:attempt, :amount)")
            connection.execute(slow, {"attempt": attempt, "amount": self._amount(seconds)})
        self._slow = users.index(user)

    def be_slow_everywhere(self, seconds: float) -> None:
        """Let every user who has attempts take so many seconds longer, so that workers are always busy."""
        slow = text("INSERT INTO slow_attempts SELECT min(id), :amount FROM attempts GROUP BY user_id")
        with self.database.write() as connection:
            connection.execute(slow, {"amount": self._amount(seconds)})

    def be_slow_to_lead(self, seconds: float) -> None:
        """Let every housekeeper that begins to lead, or goes on leading, take so many seconds for it."""
        with self.database.write() as connection:
            slow = text("INSERT INTO slow_attempts VALUES (0, :amount)")
            connection.execute(slow, {"amount": self._amount(seconds)})

    def freeze_leading(self, worker: CeleryWorker) -> psutil.Process | None:
        """Freeze a worker's housekeeper if it is in the middle of the transaction in which it leads."""
        if not self._is_slow_now():
            return None
        (housekeeper,) = worker.housekeepers()
        housekeeper.suspend()
        if self._is_slow_now():
            return housekeeper
        housekeeper.resume()
        return None

    def be_fast(self) -> None:
        """Let no chunk be slow that begins from now on."""
        with self.database.write() as connection:
            connection.execute(text("DELETE FROM slow_attempts"))

    def catch_inside(self, job: int, seconds: float = 1) -> AtWork:
        """Wait until a child is in the middle of the transaction of a chunk, where it stays for about a second."""
        self._slow = -1
        return eventually(lambda: self._inside(job, seconds), 20, self.tell)  # type: ignore[no-any-return]

    def freeze_outside(self, job: int, workers: int, **settings: object) -> AtWork:
        """Start workers; a child that has claimed a chunk is frozen before it begins the chunk's transaction."""
        flag = self._directory / "halt"
        flag.touch()
        self.environment |= {"HALT_ONCE": str(flag), "PYTHONPATH": f"{ROOT}"}
        self.start_workers(workers, "--include", "tests.faults.halting", **settings)
        return eventually(lambda: self._halted(job), 30, self.tell)  # type: ignore[no-any-return]

    def freeze_wholly(self, worker: CeleryWorker) -> None:
        """Freeze a worker and its housekeeper while neither holds SQLite's write lock: nothing could take it away."""
        worker.freeze()
        while self.database.dialect == "sqlite" and not self.becomes_free(1):
            (housekeeper,) = worker.housekeepers()
            housekeeper.resume()
            housekeeper.suspend()

    def learner_writes(self, ordinal: int) -> float:
        """Write to the chapters of a target as a learner at work does, changing nothing; give the seconds it took."""
        began = time.monotonic()
        with self.database.write() as connection:
            user = records.targets(connection)[ordinal]
            same = text("UPDATE chapter_progress SET status = status WHERE user_id = :user")
            connection.execute(same, {"user": user})
        return time.monotonic() - began

    def _amount(self, seconds: float) -> float:
        return int(seconds * self._steps_per_second) if self.database.dialect == "sqlite" else seconds

    def _inside(self, job: int, seconds: float) -> AtWork | None:
        chunks = chunks_of(self.database, job)
        chunk = next((c for c in chunks if self._slow in _ordinals(c)), None)
        if self._slow < 0 or (chunk is not None and chunk["state"] == "done"):
            self.be_slow(self.status(job).job.next_ordinal + 2 * WINDOW, seconds)
        elif chunk is not None and chunk["state"] == "claimed" and self._is_slow_now():
            return self._at_work(chunk)
        return None

    def claimed(self, job: int) -> Row | None:
        """Give a chunk of a job that a worker holds, if there is one."""
        return next((c for c in chunks_of(self.database, job) if c["state"] == "claimed"), None)

    def _halted(self, job: int) -> AtWork | None:
        at_work = [self._at_work(chunk) for chunk in chunks_of(self.database, job) if chunk["state"] == "claimed"]
        stopped = [found for found in at_work if found and found.process.status() == psutil.STATUS_STOPPED]
        return stopped[0] if stopped else None

    def _at_work(self, chunk: Row) -> AtWork | None:
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
        return not self.becomes_free(0.15)

    def becomes_free(self, seconds: float) -> bool:
        """Tell whether SQLite's write lock is free at some moment within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._write_lock_is_free():
                return True
        return False

    def _write_lock_is_free(self) -> bool:
        path = self.database.engine.url.database or ""
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True

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
        bound = WINDOW + 2 * self._children + duplicates
        assert self.gauge.most <= bound, f"{self.gauge.most} messages at the broker, not {bound}"

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
