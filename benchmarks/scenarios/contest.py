"""The main table: the same reset by all contenders, in turn, on copies of the same database.

The contenders that work user by user do a sample only and are compared by the time they take for one. All must
leave the same records and put the same rows aside.
"""

from benchmarks.bench import Bench
from benchmarks.contenders import job, loop, script, sql, tasks
from benchmarks.digests import Digests, digests
from benchmarks.measures import Budget, RecordsDiffer, Result, Series
from benchmarks.resets import EVERYTHING
from benchmarks.work import Work

JOB, SCRIPT, LOOP = "job", "script", "chunk loop"
BY_SQL, BY_ORM = "task a user, SQL", "task a user, ORM"


def run(bench: Bench) -> Result:
    """Let all contenders reset everything."""
    work = Work(users=bench.users)
    contest = _Contest(bench, work)
    for number in range(bench.rounds):
        contest.round(number)
    return contest.result()


class _Contest:
    """One contest: who took how long, and what was left."""

    def __init__(self, bench: Bench, work: Work) -> None:
        self._bench = bench
        self._work = work
        self._template = bench.postgres.prepare(work)
        step = max(1, work.users // bench.sample)
        self._sample = list(work.everybody[::step][: bench.sample])
        self._jobs: list[job.JobRun] = []
        self._per_user: dict[str, list[float]] = {}
        self._left: dict[str, Digests] = {}

    def round(self, number: int) -> None:
        """Let everyone run once, another one first each time."""
        contenders = [JOB, SCRIPT, LOOP, BY_SQL, BY_ORM]
        turn = number % len(contenders)
        for name in contenders[turn:] + contenders[:turn]:
            url = self._bench.postgres.copy(self._template)
            users = len(self._sample) if name in (BY_SQL, BY_ORM) else self._work.users
            seconds = self._run(name, url)
            self._per_user.setdefault(name, []).append(seconds / users)
            self._bench.console.log(f"round {number + 1}: {name}, {users:,} users in {seconds:.2f} s")
            self._compare(name, url)

    def _run(self, name: str, url: str) -> float:
        if name == JOB:
            self._jobs.append(job.run(self._bench, url, EVERYTHING))
            return self._jobs[-1].seconds
        if name == SCRIPT:
            return script.run(url, EVERYTHING)
        if name == LOOP:
            return loop.run(url, loop.CHUNK_SIZE)
        return tasks.run(self._bench, url, "by_sql" if name == BY_SQL else "by_orm", self._sample)

    def _compare(self, name: str, url: str) -> None:
        """Hold what a contender left against what the first one did, for everybody or for the sample."""
        archive = {JOB: job.ARCHIVE, SCRIPT: script.COPIES}.get(name, sql.ARCHIVE)
        of_sample = f"user_id IN ({','.join(map(str, self._sample))})"
        conditions = {"the sample": of_sample}
        if name not in (BY_SQL, BY_ORM):
            conditions["everybody"] = "TRUE"
        for whose, condition in conditions.items():
            found = digests(url, archive, condition)
            first = self._left.setdefault(whose, found)
            if found != first:
                wrong = ", ".join(table for table in first if first[table] != found[table])
                raise RecordsDiffer(f"{name} left other records of {whose} than the first contender: {wrong}")

    def result(self) -> Result:
        """Sum up."""
        series = {name: Series(values) for name, values in self._per_user.items()}
        mine = series[JOB]
        ratios = {name: mine.over(others) for name, others in series.items() if name != JOB}
        rows = []
        for name, values in series.items():
            ratio = ratios.get(name)
            rows.append(
                [
                    name,
                    f"{1 / values.median:,.0f}",
                    f"{1 / values.spread[1]:,.0f} - {1 / values.spread[0]:,.0f}",
                    "" if ratio is None else f"{ratio.median:.3g}",
                    "" if ratio is None else f"{ratio.spread[0]:.3g} - {ratio.spread[1]:.3g}",
                ]
            )
        busy, peak = Series([run.busy for run in self._jobs]), max(run.peak_memory_kib for run in self._jobs)
        return Result(
            title=f"[203] everything, {self._work.users:,} users x {self._work.chapters} chapters",
            columns=("contender", "users/s", "spread", "job over it", "spread"),
            rows=rows,
            figures={
                "users": self._work.users,
                "seconds_per_user": self._per_user,
                "ratios": {name: {"median": r.median, "values": list(r.values)} for name, r in ratios.items()},
                "busy": busy.median,
                "chunks": [run.chunks for run in self._jobs],
                "command_seconds": [run.whole_seconds for run in self._jobs],
                "worker_peak_kib": peak,
            },
            budgets=(
                Budget(name="job over the script", value=ratios[SCRIPT].median, limit=1.0),
                Budget(name="job over the chunk loop", value=ratios[LOOP].median, limit=1.1),
                Budget(name="users/s over a task a user", value=1 / ratios[BY_SQL].median, limit=50, at_least=True),
                Budget(name="worker processes busy", value=busy.median, limit=0.95, at_least=True),
            ),
        )
