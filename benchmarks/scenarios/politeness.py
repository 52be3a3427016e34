"""What learners feel: their writes while nothing runs, during a job, a job with a bounded rate, and the script."""

import time

from psycopg.errors import DeadlockDetected

from benchmarks.bench import Bench
from benchmarks.contenders import job, script
from benchmarks.learners import working
from benchmarks.measures import Budget, Result, Series, percentile
from benchmarks.resets import EVERYTHING, Reset
from benchmarks.work import Work
from jobs.model import Kind

_SECONDS = 10
_RATE = 500
IDLE, JOB, SLOW_JOB, SCRIPT = "idle", "job", f"job, {_RATE} users/s", "script"


def run(bench: Bench) -> Result:
    """Let learners work through all of them, in turn."""
    work = Work(users=bench.users)
    template = bench.postgres.prepare(work)
    seconds: dict[str, list[float]] = {IDLE: [], JOB: [], SLOW_JOB: [], SCRIPT: []}
    p95: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(bench.rounds):
        for name in seconds:
            url = bench.postgres.copy(template)
            with working(url, work) as learners:
                _meanwhile(bench, name, url, work)
            seconds[name] += learners.seconds
            p95[name].append(percentile(learners.seconds, 95))
            bench.console.log(f"{name}: {len(learners.seconds)} writes, p95 {p95[name][-1] * 1000:.1f} ms")
    return Result(
        title=f"learners' writes on {work.users:,} users",
        columns=("while", "writes", "median", "p95", "p99", "worst"),
        rows=[
            [name, f"{len(values):,}", *(f"{value * 1000:,.1f} ms" for value in _shape(values))]
            for name, values in seconds.items()
        ],
        figures={name: dict(zip(("p50", "p95", "p99", "max"), _shape(v), strict=True)) for name, v in seconds.items()},
        budgets=[
            Budget(
                name=f"learners' writes during a {name} over idle, p95",
                value=Series(p95[name]).over(Series(p95[IDLE])).median,
                limit=1.5,
            )
            for name in (JOB, SLOW_JOB)
        ],
    )


def _meanwhile(bench: Bench, name: str, url: str, work: Work) -> None:
    if name == JOB:
        job.run(bench, url, EVERYTHING)
    elif name == SLOW_JOB:
        step = max(1, work.users // (_SECONDS * _RATE))
        few = work.everybody[::step][: _SECONDS * _RATE]
        job.run(bench, url, Reset(name=name, kind=Kind.TRAINING, users=tuple(few), max_rate=_RATE))
    elif name == SCRIPT:
        _run_script(bench, url)
    else:
        time.sleep(_SECONDS)


def _run_script(bench: Bench, url: str) -> None:
    """Run the script; a deadlock with a learner is its end, for it loses again as long as they write."""
    try:
        script.run(url, EVERYTHING)
    except DeadlockDetected:
        bench.console.log("the script lost everything that it had done against a learner (deadlock)")


def _shape(values: list[float]) -> list[float]:
    return [*(percentile(values, percent) for percent in (50, 95, 99)), max(values)]
