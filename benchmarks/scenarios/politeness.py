"""What learners feel: their writes while nothing runs, while a job runs at its defaults, and while the script does."""

import time

from benchmarks.bench import Bench
from benchmarks.contenders import job, script
from benchmarks.learners import working
from benchmarks.measures import Budget, Result, Series, percentile
from benchmarks.resets import EVERYTHING
from benchmarks.work import Work

_IDLE_SECONDS = 10.0
IDLE, JOB, SCRIPT = "idle", "job", "script"


def run(bench: Bench) -> Result:
    """Let learners work through all three, in turn."""
    work = Work(users=bench.users)
    template = bench.postgres.prepare(work)
    seconds: dict[str, list[float]] = {IDLE: [], JOB: [], SCRIPT: []}
    p95: dict[str, list[float]] = {IDLE: [], JOB: [], SCRIPT: []}
    for _ in range(bench.rounds):
        for name in seconds:
            url = bench.postgres.copy(template)
            with working(url, work) as learners:
                _meanwhile(bench, name, url)
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
        budgets=(
            Budget(
                name="learners' writes during a job over idle, p95",
                value=Series(p95[JOB]).over(Series(p95[IDLE])).median,
                limit=1.5,
            ),
        ),
    )


def _meanwhile(bench: Bench, name: str, url: str) -> None:
    if name == JOB:
        job.run(bench, url, EVERYTHING)
    elif name == SCRIPT:
        script.run(url, EVERYTHING)
    else:
        time.sleep(_IDLE_SECONDS)


def _shape(values: list[float]) -> list[float]:
    return [*(percentile(values, percent) for percent in (50, 95, 99)), max(values)]
