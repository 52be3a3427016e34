"""From an order to stop until nothing can commit any more; from a worker's death until another has done its chunk."""

import time
from collections.abc import Callable, Sequence

import psutil
import psycopg

from benchmarks.bench import Bench
from benchmarks.contenders import job as program
from benchmarks.measures import Budget, Result, Series, percentile
from benchmarks.processes import PROGRAM, WorkerProcess, environment, running, wait_for
from benchmarks.work import Work
from jobs.database import Database
from jobs.model import JobState, Kind
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering

_JOBS_A_ROUND = 5
_CHUNKS_OF_A_JOB, _LARGEST_CHUNK = 5, 3000
_CLAIMED = "FROM chunks WHERE state = 'claimed'"
_LEFT = "SELECT FROM chunks WHERE state <> 'done' AND first_ordinal BETWEEN %s AND %s"
_LOOK_SECONDS = 0.1


def orders(bench: Bench) -> Result:
    """Pause a job, resume and cancel it, with chunks in flight; then another one, of learners not yet reset."""
    work = Work(users=bench.users)
    template = bench.postgres.prepare(work)
    pauses: list[float] = []
    cancels: list[float] = []
    for _ in range(bench.rounds):
        url = bench.postgres.copy(template)
        surroundings = environment(url, bench.broker_url, bench.directory / "home")
        database = Database(url)
        steering = Steering(database, "root")
        with (
            running(program.WORKER, surroundings, bench.directory / "worker.log"),
            psycopg.connect(url, autocommit=True) as watch,
        ):
            for number in range(_JOBS_A_ROUND):
                few = work.users // _JOBS_A_ROUND
                job = _submit(database, work.everybody[number * few : (number + 1) * few])
                wait_for(lambda: watch.execute(f"SELECT 1 {_CLAIMED}").fetchone(), "a chunk")
                pauses.append(_until(steering.pause, database, job, JobState.PAUSED))
                steering.resume(job)
                wait_for(lambda: watch.execute(f"SELECT 1 {_CLAIMED}").fetchone(), "a chunk")
                cancels.append(_until(steering.cancel, database, job, JobState.CANCELLED))
        database.close()
    series = {"pause": pauses, "cancel": cancels}
    return Result(
        title="an order until nothing commits any more, chunks in flight",
        columns=("order", "median", "p95", "worst"),
        rows=[
            [name, f"{Series(values).median:.2f} s", f"{percentile(values, 95):.2f} s", f"{max(values):.2f} s"]
            for name, values in series.items()
        ],
        figures={"seconds": series},
        budgets=[
            Budget(name=f"{name} to standstill, p95", value=percentile(values, 95), limit=1, unit="s")
            for name, values in series.items()
        ],
    )


def death(bench: Bench) -> Result:
    """Kill a worker with everything that belongs to it while it holds a chunk; another is running."""
    work = Work(users=bench.users)
    template = bench.postgres.prepare(work)
    lease = Settings().lease_seconds
    seconds = []
    for _ in range(bench.rounds):
        url = bench.postgres.copy(template)
        surroundings = environment(url, bench.broker_url, bench.directory / "home")
        command = [PROGRAM, "worker", "--concurrency", "1"]
        database = Database(url)
        with (
            psycopg.connect(url, autocommit=True) as watch,
            running(command, surroundings, bench.directory / "victim.log") as victim,
            running(command, surroundings, bench.directory / "worker.log"),
        ):
            _submit(database, work.everybody)
            users = _catch(victim, watch)
            victim.kill()
            seconds.append(_until_done(users, watch))
        database.close()
    return Result(
        title=f"a worker killed with its chunk, until another has done it (lease {lease:g} s)",
        columns=("median", "worst"),
        rows=[[f"{Series(seconds).median:.1f} s", f"{max(seconds):.1f} s"]],
        figures={"seconds": seconds, "lease_seconds": lease},
        budgets=(
            Budget(name="killed worker to its chunk done elsewhere", value=max(seconds), limit=lease + 5, unit="s"),
        ),
    )


def _catch(victim: WorkerProcess, watch: psycopg.Connection) -> tuple[int, int]:
    """Freeze a worker's process while it holds a chunk; give the ordinals of the chunk's users."""
    mine = (
        f"SELECT id, process_id, first_ordinal, last_ordinal {_CLAIMED} AND worker_id LIKE '%:{victim.process.pid}:%'"
    )
    while True:
        chunk, process_id, first, last = wait_for(lambda: watch.execute(mine).fetchone(), "a chunk of the worker's")
        process = psutil.Process(process_id)
        process.suspend()
        if watch.execute(f"SELECT 1 {_CLAIMED} AND id = %s", (chunk,)).fetchone():
            return first, last
        process.resume()


def _until_done(users: tuple[int, int], watch: psycopg.Connection) -> float:
    began = time.monotonic()
    wait_for(lambda: watch.execute(_LEFT, users).fetchone() is None, "the end of the chunk")
    return time.monotonic() - began


def _until(order: Callable[[int], None], database: Database, job: int, stopped: JobState) -> float:
    """Give an order, again as the command line does while it is not carried out; give the seconds until it is."""
    began = time.monotonic()
    while True:
        order(job)
        if Administration(database, "root").status(job).job.state is stopped:
            return time.monotonic() - began
        time.sleep(_LOOK_SECONDS)


def _submit(database: Database, users: Sequence[int]) -> int:
    """Submit a job for some learners, in a few chunks, so that each is as long as a chunk becomes."""
    request = ResetRequest(
        kind=Kind.TRAINING,
        users=UserSelection(ids=tuple(users)),
        content=ContentSelection(all_content=True),
        location="all",
    )
    chunk_size = min(_LARGEST_CHUNK, max(1, len(users) // _CHUNKS_OF_A_JOB))
    options = JobOptions(reason="benchmark", chunk_size=chunk_size)
    job, _ = Administration(database, "root").submit(request, options)
    return job.id
