"""Handles to add schedules to a small learning system, to fire them, and to read what became of their times."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.database import Database
from jobs.firing import fire_due
from jobs.model import Kind
from jobs.schedule import Plan, Policies, Run, RunOutcome, Schedule
from jobs.scheduling import Scheduling
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.store import schedule_rows
from jobs.timing import Cron, Every, Timing

GRACE = 60.0
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)

EVERYBODY = ResetRequest(
    kind=Kind.TRAINING, users=UserSelection(all_users=True), content=ContentSelection(courses=(101,)), location=1
)
"""[203] of course 101 for everybody at location 1."""


def scheduling(database: Database, login: str = "root") -> Scheduling:
    return Scheduling(database, login, timedelta(seconds=GRACE))


def every(**interval: float) -> Every:
    """An interval; it is counted from when the schedule is added."""
    return Every(timedelta(**interval), datetime.min.replace(tzinfo=UTC))


def add(
    database: Database,
    name: str = "nightly",
    timing: Timing = Cron("0 2 * * *"),  # noqa: B008 - a frozen value
    request: ResetRequest = EVERYBODY,
    *,
    login: str = "root",
    **policies: Any,  # noqa: ANN401 - any policy
) -> None:
    """Add a schedule."""
    options = JobOptions(reason="maintenance")
    plan = Plan(name=name, timing=timing, request=request, options=options, policies=Policies(**policies))
    scheduling(database, login).add(plan)


def fire(database: Database) -> None:
    """Do as the leading housekeeper does in a round, however long it takes."""
    fire_due(database, GRACE, between=lambda: None, seconds=60)


def schedule_of(database: Database, name: str = "nightly") -> Schedule:
    with database.read() as connection:
        schedule = schedule_rows.find_by_name(connection, name)
    assert schedule is not None
    return schedule


def runs_of(database: Database, name: str = "nightly") -> list[Run]:
    """Read what became of the times of a schedule, oldest first."""
    with database.read() as connection:
        return schedule_rows.find_runs(connection, schedule_of(database, name).id, 1_000_000)[::-1]


def outcomes_of(database: Database, name: str = "nightly") -> list[tuple[str, RunOutcome, bool]]:
    """Give each time with what became of it and whether it was late."""
    return [(f"{run.fire_time:%m-%d %H:%M}", run.outcome, run.late) for run in runs_of(database, name)]
