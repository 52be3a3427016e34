"""Ten times the learners: the time, and the memory of the worker and of the broker."""

from redis import Redis

from benchmarks.bench import Bench
from benchmarks.contenders import job
from benchmarks.measures import Budget, Result, Series
from benchmarks.resets import EVERYTHING
from benchmarks.work import Work

_TIMES = 10


def run(bench: Bench) -> Result:
    """Run the job for a tenth of the learners and for all, in turn."""
    sizes = (max(1, bench.users // _TIMES), bench.users)
    templates = {users: bench.postgres.prepare(Work(users=users)) for users in sizes}
    runs: dict[int, list[job.JobRun]] = {users: [] for users in sizes}
    broker: dict[int, list[int]] = {users: [] for users in sizes}
    with Redis.from_url(bench.broker_url.replace("redis+socket://", "unix://", 1)) as redis:
        for _ in range(bench.rounds):
            for users in sizes:
                redis.config_resetstat()
                runs[users].append(job.run(bench, bench.postgres.copy(templates[users]), EVERYTHING))
                broker[users].append(int(redis.info("memory")["used_memory_peak"]))
                bench.console.log(f"{users:,} users in {runs[users][-1].seconds:.2f} s")
    few, many = ([run.seconds for run in runs[users]] for users in sizes)
    workers = [max(run.peak_memory_kib for run in runs[users]) for users in sizes]
    brokers = [max(broker[users]) for users in sizes]
    return Result(
        title=f"{_TIMES} times the users, [203] everything",
        columns=("users", "seconds", "worker's largest process", "broker's peak"),
        rows=[
            [f"{users:,}", f"{Series(seconds).median:.2f}", f"{worker // 1024} MiB", f"{peak / 2**20:.1f} MiB"]
            for users, seconds, worker, peak in zip(sizes, (few, many), workers, brokers, strict=True)
        ],
        figures={"seconds": {str(sizes[0]): few, str(sizes[1]): many}, "worker_kib": workers, "broker_bytes": brokers},
        budgets=(
            Budget(name="time of ten times the users", value=Series(many).over(Series(few)).median, limit=10.5),
            Budget(name="worker memory of ten times the users", value=workers[1] / workers[0], limit=1.2),
            Budget(name="broker memory of ten times the users", value=brokers[1] / brokers[0], limit=1.2),
        ),
    )
