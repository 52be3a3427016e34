"""Years of scheduled maintenance on a clock that is moved: outages, jumps, jobs that take long, people who decide.

Every time of every schedule is enumerated by a walk through the minutes, knowing nothing of the code under test, and
must be accounted for exactly once.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import event

from jobs.database import Database, read_now
from jobs.firing import fire_due
from jobs.model import JobState, Kind
from jobs.schedule import CatchUp, Overlap, Plan, Policies, Run, RunOutcome
from jobs.scheduling import Scheduling
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import job_rows, schedule_rows
from jobs.timing import Cron, Every
from tests.clock import Clock
from tests.schedules import GRACE, runs_of
from tests.simulation.learners import Learners
from tests.small import work
from tests.walk import walk

BEGIN = datetime(2024, 1, 1, 12, 20, tzinfo=UTC)
EVERY_SEVEN_HOURS = timedelta(hours=7)

SETTINGS = Settings()
Rule = Callable[[datetime], bool]


@dataclass(frozen=True)
class Watched:
    """A schedule with what it should be: which times of the clock it names, and the age that makes something due."""

    name: str
    cron: Cron | None
    rule: Rule | None
    age: timedelta
    policies: Policies
    kind: Kind = Kind.TRAINING

    def plan(self, location: int, courses: tuple[int, ...]) -> Plan:
        content = ContentSelection(courses=courses)
        users = UserSelection(all_users=True)
        return Plan(
            name=self.name,
            timing=self.cron or Every(EVERY_SEVEN_HOURS, BEGIN),
            request=ResetRequest(kind=self.kind, users=users, content=content, location=location, cutoff=self.age),
            options=JobOptions(reason="maintenance"),
            policies=self.policies,
        )

    def times(self, begin: datetime, end: datetime) -> list[datetime]:
        """Enumerate its times after `begin` and before `end`."""
        if self.cron is None or self.rule is None:
            return [begin + n * EVERY_SEVEN_HOURS for n in range(1, (end - begin) // EVERY_SEVEN_HOURS + 1)]
        return [m for m, reached in walk(self.cron.timezone, begin, end) if any(self.rule(t) for t in reached)]


DAY = timedelta(days=1)
SCHEDULES = (
    Watched(
        "hourly",
        Cron("0 * * * *", "America/New_York"),
        lambda t: t.minute == 0,
        timedelta(hours=12),
        Policies(),
        Kind.IN_PROGRESS,
    ),
    Watched("every-7h", None, None, 20 * DAY, Policies(catch_up=CatchUp.NONE, overlap=Overlap.QUEUE), Kind.IN_PROGRESS),
    Watched(
        "nightly",
        Cron("30 1 * * *", "Europe/London"),
        lambda t: (t.hour, t.minute) == (1, 30),
        365 * DAY,
        Policies(catch_up=CatchUp.ALL),
    ),
    Watched(
        "weekly",
        Cron("15 0 * * SUN", "America/Havana"),
        lambda t: (t.isoweekday(), t.hour, t.minute) == (7, 0, 15),
        200 * DAY,
        Policies(catch_up=CatchUp.NONE, max_users=3),
    ),
    Watched(
        "monthly",
        Cron("10 2 1 * *", "Australia/Lord_Howe"),
        lambda t: (t.day, t.hour, t.minute) == (1, 2, 10),
        90 * DAY,
        Policies(overlap=Overlap.QUEUE, max_users=10),
    ),
    Watched(
        "yearly",
        Cron("0 3 29 2,3 *", "Asia/Gaza"),
        lambda t: (t.day, t.hour, t.minute) == (29, 3, 0) and t.month in (2, 3),
        30 * DAY,
        Policies(max_users=20),
    ),
)


def simulate(database: Database, clock: Clock, *, days: int, learners: int, seed: int) -> dict[str, Counter[str]]:
    """Let days pass and account for every time; give for each schedule how often what became of a time.

    Raises:
        AssertionError: a time is not accounted for, or more than once, or not as it went.

    """
    if database.dialect == "sqlite":  # nobody pulls the plug here
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        database.close()
    chance, end = Random(seed), BEGIN + timedelta(days=days)
    clock.move_to(BEGIN)
    people = Learners(database, learners, chance)
    for place, watched in enumerate(SCHEDULES):  # on courses of its own, so that none leaves another nothing to do
        courses = people.courses[place :: len(SCHEDULES)] or people.courses
        Scheduling(database, "root", timedelta(seconds=GRACE)).add(watched.plan(people.location, courses))
    wanted = {watched.name: watched.times(BEGIN, end) for watched in SCHEDULES}
    _pass_through(database, clock, people, sorted({time for times in wanted.values() for time in times}), chance)
    clock.move_to(end + timedelta(hours=1))
    while _due(database):
        _work(database)
        _decide(database, chance)
        _fire(database)
    return {name: _account(database, name, times, end) for name, times in wanted.items()}


def _pass_through(database: Database, clock: Clock, people: Learners, moments: list[datetime], chance: Random) -> None:
    """Go from one moment at which something is due to the next; now and then everything is down for a while."""
    down_until, latest = BEGIN, BEGIN
    for moment in moments:
        latest = max(latest, moment)
        if moment < down_until:
            continue
        if chance.random() < 0.004:
            down_until = moment + timedelta(hours=chance.choice((1, 3, 9, 30, 80)), minutes=chance.randrange(60))
            continue
        late = chance.choice((0, 0, 0, 1, 2, 4))
        clock.move_to(latest + timedelta(seconds=late))
        if chance.random() < 0.003:  # the clock is put back, and comes to the same moment again
            clock.move_to(latest - timedelta(hours=chance.randrange(1, 30)))
            _fire(database)
            clock.move_to(latest + timedelta(seconds=late))
        _fire(database)
        if chance.random() < 0.95 and _work(database):
            _fire(database)
        if chance.random() < 0.2:
            people.learn(clock.now)
        if chance.random() < 0.1:
            _decide(database, chance)


def _fire(database: Database) -> None:
    """Do the rounds of a leader and of another one right after it."""
    for _ in range(2):
        fire_due(database, GRACE, between=lambda: None, seconds=60)


def _work(database: Database) -> bool:
    """Do all jobs to their end that may run, if there are any."""
    with database.read() as connection:
        runs = any(job.state is not JobState.PAUSED for job in job_rows.find_unfinished(connection))
    if runs:
        work(database, SETTINGS)
    return runs


def _due(database: Database) -> bool:
    with database.read() as connection:
        return bool(schedule_rows.find_due(connection, read_now(connection)))


def _decide(database: Database, chance: Random) -> None:
    """Let somebody decide about jobs that are held."""
    with database.read() as connection:
        held = [job.id for job in job_rows.find_unfinished(connection) if job.state is JobState.PAUSED]
    for job in held:
        steering = Steering(database, "root")
        chance.choice((steering.resume, steering.cancel))(job)


def _account(database: Database, name: str, times: list[datetime], end: datetime) -> Counter[str]:
    """Make sure that each time is accounted for once, and each that ran is one; count what became of them."""
    counts: Counter[str] = Counter()
    left = iter(times)
    for run in runs_of(database, name):
        if run.fire_time >= end:
            continue
        covered = [next(left) for _ in range(_within(run, end, times))]
        assert covered, f"{name}: {run} is about no time"
        assert (covered[0], covered[-1]) == (run.fire_time, min(run.last_time, times[-1])), f"{name}: {run}"
        assert run.outcome is not RunOutcome.WAITING, f"{name}: {run} still waits"
        assert run.outcome in (RunOutcome.SUBMITTED, RunOutcome.NOTHING) or run.reason, f"{name}: {run}"
        counts[_what(run)] += len(covered)
    rest = list(left)
    assert not rest, f"{name}: nothing is known of {rest[:3]} and others, {len(rest)} in all"
    return counts


def _within(run: Run, end: datetime, times: list[datetime]) -> int:
    if run.last_time < end:
        return run.times
    return sum(run.fire_time <= time <= run.last_time for time in times)


def _what(run: Run) -> str:
    if run.outcome is RunOutcome.SKIPPED:
        return "missed" if "missed" in (run.reason or "") else "overlap"
    return f"{run.outcome.value} late" if run.late else run.outcome.value
