"""Throughput against the number of users, for the contenders that do everybody."""

from benchmarks.bench import Bench
from benchmarks.contenders import job, loop, script
from benchmarks.measures import Result, Series
from benchmarks.resets import EVERYTHING
from benchmarks.work import Work

_STEPS = (100, 10, 1)


def run(bench: Bench) -> Result:
    """Run them for a hundredth, a tenth and all of the users."""
    seconds: dict[str, dict[int, list[float]]] = {"job": {}, "script": {}, "chunk loop": {}}
    for _ in range(bench.rounds):
        for users in sorted({max(1, bench.users // step) for step in _STEPS}):
            template = bench.postgres.prepare(Work(users=users))
            for name, of_sizes in seconds.items():
                url = bench.postgres.copy(template)
                of_sizes.setdefault(users, []).append(_run(bench, name, url))
                bench.console.log(f"{name}, {users:,} users in {of_sizes[users][-1]:.2f} s")
    speeds = {
        name: {str(users): users / Series(values).median for users, values in of_sizes.items()}
        for name, of_sizes in seconds.items()
    }
    sizes = list(next(iter(speeds.values())))
    return Result(
        title="users a second, by how many there are",
        columns=("users", *speeds),
        rows=[[f"{int(size):,}", *(f"{of_sizes[size]:,.0f}" for of_sizes in speeds.values())] for size in sizes],
        figures={"users_per_second": speeds},
    )


def _run(bench: Bench, name: str, url: str) -> float:
    if name == "job":
        return job.run(bench, url, EVERYTHING).seconds
    return script.run(url, EVERYTHING) if name == "script" else loop.run(url, loop.CHUNK_SIZE)
