"""The job and the script side by side where they do less, or on SQLite: cost must follow what is touched."""

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.contenders import job, script
from benchmarks.digests import digests
from benchmarks.measures import Budget, RecordsDiffer, Result, Series
from benchmarks.places import Place
from benchmarks.resets import EVERYTHING, IN_PROGRESS, Reset
from benchmarks.work import FIRST_CHAPTER, Work
from jobs.model import Kind

_FEW = 500


def in_progress(bench: Bench) -> Result:
    """[204] of everything on PostgreSQL."""
    return _pairs(bench, bench.postgres, Work(users=bench.users), [IN_PROGRESS], share=None)


def sqlite(bench: Bench) -> Result:
    """[203] and [204] of everything on SQLite, which lets one writer in at a time."""
    return _pairs(bench, bench.sqlite, Work(users=bench.users), [EVERYTHING, IN_PROGRESS], share=None)


def narrow(bench: Bench) -> Result:
    """[203] of a few among many learners, and of one chapter for everybody."""
    work = Work(users=bench.users)
    step = max(1, work.users // _FEW)
    few = Reset(name=f"[203] {_FEW} users", kind=Kind.TRAINING, users=tuple(work.everybody[::step][:_FEW]))
    chapter = Reset(name="[203] one chapter", kind=Kind.TRAINING, chapters=(FIRST_CHAPTER,))
    return _pairs(bench, bench.postgres, work, [EVERYTHING, few, chapter], share=0.2)


def _pairs(bench: Bench, place: Place, work: Work, resets: Sequence[Reset], *, share: float | None) -> Result:
    """Measure resets; the later ones may take at most a share, if given, of the first one's time."""
    template = place.prepare(work)
    seconds: dict[str, dict[str, list[float]]] = {reset.name: {"job": [], "script": []} for reset in resets}
    rows: dict[str, int] = {}
    for number in range(bench.rounds):
        for reset in resets:
            for name in ("job", "script") if number % 2 else ("script", "job"):
                url = place.copy(template)
                took = script.run(url, reset) if name == "script" else job.run(bench, url, reset).seconds
                seconds[reset.name][name].append(took)
                bench.console.log(f"round {number + 1}: {reset.name}, {name} {took:.2f} s")
                left = digests(url, script.COPIES if name == "script" else job.ARCHIVE)
                put_aside = sum(count for what, (count, _) in left.items() if what.startswith("put aside"))
                if rows.setdefault(reset.name, put_aside) != put_aside:
                    raise RecordsDiffer(f"{reset.name}: the {name} changed {put_aside} rows, not {rows[reset.name]}")
    series = {name: {who: Series(values) for who, values in both.items()} for name, both in seconds.items()}
    whole = series[resets[0].name]["job"]
    return Result(
        title=f"{work.users:,} users x {work.chapters} chapters on {place.version()}",
        columns=("reset", "rows", "job, s", "script, s", "job over script"),
        rows=[
            [
                name,
                f"{rows[name]:,}",
                f"{both['job'].median:.2f}",
                f"{both['script'].median:.2f}",
                f"{both['job'].over(both['script']).median:.2f}",
            ]
            for name, both in series.items()
        ],
        figures={"seconds": seconds, "rows": rows},
        budgets=[
            Budget(name=f"{name} over everything", value=both["job"].over(whole).median, limit=share)
            for name, both in list(series.items())[1:]
            if share is not None
        ],
    )
