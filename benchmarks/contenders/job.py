"""The program itself: a job through its real command line, and a worker with two processes."""

import subprocess
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from benchmarks.bench import Bench
from benchmarks.processes import PROGRAM, environment, running, wait_for
from benchmarks.resets import Reset
from jobs.database import Database
from jobs.model import JobState
from jobs.store.tables import chunks, jobs, workers

ARCHIVE = "archive_"
"""What the names of the tables begin with that hold what it erased and changed."""
PROCESSES = 2
WORKER = (PROGRAM, "worker", "--concurrency", str(PROCESSES))


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """What one job took.

    Attributes:
        seconds: from its submission to its end, by the database's clock.
        whole_seconds: of the command, the program's start and its last look included.
        busy: the share of the time from the first claim to the last end in which the processes held a chunk.
        peak_memory_kib: of the worker's largest process.

    """

    seconds: float
    whole_seconds: float
    busy: float
    chunks: int
    peak_memory_kib: int


def run(bench: Bench, url: str, reset: Reset, **settings: object) -> JobRun:
    """Run a job on a database, its worker started before."""
    surroundings = environment(url, bench.broker_url, bench.directory / "home", **settings)
    with running(WORKER, surroundings, bench.directory / "worker.log") as worker:
        wait_for(lambda: _keeps_house(url), "the worker's housekeeper")
        began = time.monotonic()
        subprocess.run([PROGRAM, *reset.words, "--wait"], env=surroundings, check=True, capture_output=True)
        whole = time.monotonic() - began
        return _measured(url, whole, worker.peak_memory_kib())


def _keeps_house(url: str) -> bool:
    """Tell whether a worker's housekeeper has begun: from then on the worker only waits for work."""
    database = Database(url)
    with database.read() as connection:
        keeps = connection.execute(select(workers.c.id)).first() is not None
    database.close()
    return keeps


def _measured(url: str, whole_seconds: float, peak_memory_kib: int) -> JobRun:
    database = Database(url)
    with database.read() as connection:
        job = connection.execute(select(jobs).order_by(jobs.c.id.desc()).limit(1)).one()
        held = connection.execute(
            select(chunks.c.process_id, chunks.c.claimed_at, chunks.c.done_at).where(chunks.c.job_id == job.id)
        ).all()
    database.close()
    if job.state != JobState.SUCCEEDED.value:
        raise RuntimeError(f"the job ended as {job.state} ({job.state_reason})")
    return JobRun(
        seconds=(job.finished_at - job.created_at).total_seconds(),
        whole_seconds=whole_seconds,
        busy=_busy([(row.claimed_at, row.done_at) for row in held]),
        chunks=len(held),
        peak_memory_kib=peak_memory_kib,
    )


def _busy(held: list[tuple[datetime, datetime]]) -> float:
    span = max(end for _, end in held) - min(begin for begin, _ in held)
    return sum((end - begin).total_seconds() for begin, end in held) / (PROCESSES * span.total_seconds())
