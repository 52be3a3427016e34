"""A whole installation with real processes: records, the program, Celery workers, and what must hold afterwards.

Times are short, so that the mechanisms of production show in seconds.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from jobs.database import Database
from jobs.model import Kind, Rows
from jobs.records.generate import generate_records
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration, JobStatus
from tests.small import Row, chunks_of, dump, ranges_of
from worker.configuration import SILENT

SHORT_TIMES = {
    "LEASE_SECONDS": "2",
    "HEARTBEAT_SECONDS": "0.5",
    "LEADER_LEASE_SECONDS": "2",
    "HOUSEKEEPING_SECONDS": "0.2",
    "DISPATCH_TIMEOUT_SECONDS": "1",
    "BROKER_CONNECT_SECONDS": "1",
    "BROKER_SOCKET_SECONDS": "2",
    "SHUTDOWN_SECONDS": "5",
}

EVERYTHING = (
    *("submit", "training", "--all-users", "--location", "all", "--all-content"),
    *("--reason", "a new year", "--chunk-size", "3", "--yes"),
)
"""[203] of all content for every user, as words of the command line."""

RESET = {"status": "incomplete", "started_at": None, "completed_at": None}
KINDS = {
    "attempts": "attempts_erased",
    "chapter_progress": "chapters_reset",
    "course_progress": "courses_reset",
}
KEYS = {
    "attempts": ("id",),
    "chapter_progress": ("user_id", "chapter_id"),
    "course_progress": ("user_id", "course_id"),
}


def eventually(condition: Callable[[], Any], seconds: float = 60, why: Callable[[], str] = str) -> Any:  # noqa: ANN401 - what the condition gives
    """Wait until a condition gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
    return found


class Worker:
    """A Celery worker as a process, with its pool and its housekeeper, in a session of its own."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with log.open("w") as output:
            self.process = psutil.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env=environment,
                start_new_session=True,
            )

    def log(self) -> str:
        """Give what the worker said."""
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        """Wait until it consumes."""
        eventually(lambda: " ready." in self.log() or self.process.poll() is not None, 60, self.log)
        assert self.process.poll() is None, self.log()

    def processes(self) -> list[psutil.Process]:
        """Give every process of its session that has not ended."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self) -> None:
        """End everything of it at once, as a machine does that loses its power."""
        for _ in range(3):
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end in order, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code: int = self.process.wait(seconds)
        return code


class Installation:
    """Generated records in a fresh database, and the processes that are started on it.

    Args:
        directory: for the data directory and the logs.
        database_url: a fresh database with the empty schema.
        broker_url: the broker as Celery reads it.
        learners: how many to generate.
        settings: more settings of every process, by their names.

    """

    def __init__(
        self,
        directory: Path,
        database_url: str,
        broker_url: str,
        learners: int = 120,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.database = Database(database_url)
        generate_records(self.database, users=learners, seed=1)
        self.before = dump(self.database)
        self.workers: list[Worker] = []
        self._frozen: set[int] = set()
        given = SHORT_TIMES | (settings or {})
        self._environment = os.environ | {f"TRAINING_RESET_{name}": value for name, value in given.items()}
        self._environment |= {
            "TRAINING_RESET_HOME": str(directory / "home"),
            "TRAINING_RESET_DATABASE_URL": database_url,
            "TRAINING_RESET_BROKER_URL": broker_url,
        }

    @property
    def users(self) -> list[int]:
        """Every user, in the order of their ids."""
        return sorted(row["id"] for row in self.before["users"])

    def close(self) -> None:
        """End every process that was started."""
        for worker in self.workers:
            worker.kill()
        self.database.close()

    # Processes.

    def start_celery(self, concurrency: int = 2) -> Worker:
        """Start a worker as operators of Celery do."""
        return self._start(
            *("-m", "celery", "-A", "worker.app", "worker", *SILENT),
            *("--loglevel", "INFO", "--concurrency", f"{concurrency}"),
        )

    def start_worker(self, concurrency: int = 2) -> Worker:
        """Start a worker as operators of this program do."""
        return self._start("-m", "cli", "worker", "--concurrency", f"{concurrency}")

    def _start(self, *arguments: str) -> Worker:
        log = self.directory / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker([sys.executable, "-P", *arguments], log, self._environment))
        return self.workers[-1]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the program as `root`."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", "--as", "root", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def submit(self, chunk_size: int = 3, **options: Any) -> int:  # noqa: ANN401 - any option
        """Record [203] of everything for everybody, in small chunks, and give the job's id; housekeeping finds it."""
        request = ResetRequest(
            kind=Kind.TRAINING,
            users=UserSelection(all_users=True),
            content=ContentSelection(all_content=True),
            location="all",
        )
        options = JobOptions(**{"reason": "a new year", "chunk_size": chunk_size} | options)
        return Administration(self.database, "root").submit(request, options)[0].id

    # What can be seen.

    def status(self, job: int) -> JobStatus:
        """Give the status of a job."""
        return Administration(self.database, "root").status(job)

    def logs(self) -> str:
        """Give what the workers said, where a test fails."""
        return "\n".join(worker.log() for worker in self.workers)

    def wait_for_progress(self, job: int, users: int = 1) -> None:
        """Wait until so many users are done, and the job is not."""
        eventually(lambda: self.status(job).totals.done >= users, why=self.logs)
        assert not self.status(job).job.state.ended, "over before anything could be done to it"

    def wait_for_end(self, job: int, seconds: float = 60) -> JobStatus:
        """Wait until a job has ended."""
        eventually(lambda: self.status(job).job.state.ended, seconds, self.logs)
        return self.status(job)

    def freeze_at_work(self) -> psutil.Process:
        """Stop a process that has just claimed a chunk, so that it holds the chunk and goes no further."""
        return eventually(self._freeze_one, why=self.logs)  # type: ignore[no-any-return]

    def _freeze_one(self) -> psutil.Process | None:
        for chunk in chunks_of(self.database):
            if chunk["state"] != "claimed" or chunk["process_id"] in self._frozen:
                continue
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(chunk["process_id"])
                process.suspend()
                if self._stays_claimed(chunk):
                    self._frozen.add(process.pid)
                    return process
                process.resume()
        return None

    def _stays_claimed(self, chunk: Row) -> bool:
        """Tell whether the database, too, is at rest: a commit may have been on its way to it."""
        calm_since = time.monotonic()
        while time.monotonic() < calm_since + 0.2:
            now = next(c for c in chunks_of(self.database) if c["id"] == chunk["id"])
            if (now["state"], now["fence"]) != ("claimed", chunk["fence"]):
                return False
            time.sleep(0.02)
        return True

    # What must hold.

    def assert_all_is_reset_once(self, job: int) -> None:
        """Compare records, archive, chunks and report of a job that reset everything of everybody."""
        status = self.status(job)
        assert (status.job.state.value, status.job.users_total) == ("succeeded", len(self.users))
        after = dump(self.database)
        lost = {table: self._lost(after, table) for table in KINDS}
        self._assert_records_are_reset(after)
        for table, rows in lost.items():
            twins = after[f"archive_{table}"]
            assert {row["job_id"] for row in twins} == {job}
            assert [_without_job(row) for row in _in_order(table, twins)] == _in_order(table, rows), table
        self._assert_counts(job, lost)
        for table, rows in self.before.items():
            if table not in KINDS and table not in _OF_JOBS and not table.startswith("archive_"):
                assert after[table] == rows, table

    def _lost(self, after: dict[str, list[Row]], table: str) -> list[Row]:
        """Give the rows as they were before that changed or vanished."""
        now = {_key(table, row): row for row in after[table]}
        return [row for row in self.before[table] if now.get(_key(table, row)) != row]

    def _assert_records_are_reset(self, after: dict[str, list[Row]]) -> None:
        assert after["attempts"] == []
        for table, values in (("chapter_progress", RESET | {"position_seconds": 0}), ("course_progress", RESET)):
            expected = [row | values for row in self.before[table]]
            assert _in_order(table, after[table]) == _in_order(table, expected), table

    def _assert_counts(self, job: int, lost: dict[str, list[Row]]) -> None:
        chunks, totals = chunks_of(self.database, job), self.status(job).totals
        ordinals = [ordinal for first, last in ranges_of(self.database, job) for ordinal in range(first, last + 1)]
        assert ordinals == list(range(len(self.users)))
        assert {chunk["state"] for chunk in chunks} == {"done"}
        rows = {name: len(lost[table]) for table, name in KINDS.items()}
        assert {name: sum(chunk[name] for chunk in chunks) for name in rows} == rows
        assert totals.rows == Rows(**rows)

        of_user = {table: Counter(row["user_id"] for row in lost[table]) for table in KINDS}
        report = list(Administration(self.database, "root").report(job))
        assert [line.user_id for line in report] == self.users
        for line in report:
            assert line.rows == Rows(**{name: of_user[table][line.user_id] for table, name in KINDS.items()})
            assert (line.outcome, line.error) == ("changed" if line.rows else "unchanged", None)
        changed = len({user for users in of_user.values() for user in users})
        assert (totals.changed, totals.unchanged, totals.failed) == (changed, len(self.users) - changed, 0)


_OF_JOBS = {
    "jobs",
    "job_targets",
    "job_courses",
    "job_chapters",
    "job_course_chapters",
    "chunks",
    "deliveries",
    "workers",
    "leases",
    "standings",
}


def _key(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in KEYS[table])


def _in_order(table: str, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: _key(table, row))


def _without_job(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "job_id"}
