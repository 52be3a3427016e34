"""A schedule acts as its owner, who may be gone when it runs, as may what it names; on both databases."""

from dataclasses import replace

import pytest
from sqlalchemy import Delete, Update, delete, insert, update

from jobs.database import Database
from jobs.errors import Conflict
from jobs.model import Kind
from jobs.records import tables
from jobs.schedule import RunOutcome, ScheduleState
from jobs.scope import ContentSelection, ResetRequest, UserSelection
from tests.clock import Clock
from tests.schedules import EVERYBODY, add, fire, runs_of, schedule_of, scheduling

SUBMITTED, NOTHING, SKIPPED = RunOutcome.SUBMITTED, RunOutcome.NOTHING, RunOutcome.SKIPPED
HELD, FAILED, WAITING = RunOutcome.HELD, RunOutcome.FAILED, RunOutcome.WAITING


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (delete(tables.users).where(tables.users.c.id == 2), "its owner north.admin is gone"),
        (update(tables.users).where(tables.users.c.id == 2).values(access="learner"), "is a learner now"),
        (
            update(tables.users).where(tables.users.c.id == 2).values(location_id=2),
            "may not act at location 1 any more",
        ),
        (update(tables.users).where(tables.users.c.id == 2).values(login="someone"), "its owner north.admin is gone"),
    ],
)
def test_an_owner_who_lost_its_rights_pauses_the_schedule_with_the_reason(
    database: Database, clock: Clock, change: Delete | Update, says: str
) -> None:
    add(database, login="north.admin")
    with database.write() as connection:
        connection.execute(change)
    clock.go_on(hours=2)
    fire(database)
    schedule, (run,) = schedule_of(database), runs_of(database)
    assert (schedule.state, run.outcome, run.job_id) == (ScheduleState.PAUSED, FAILED, None)
    assert says in (schedule.state_reason or "")
    assert run.reason == schedule.state_reason
    clock.go_on(days=3)
    fire(database)
    assert len(runs_of(database)) == 1


def test_a_location_that_is_gone_pauses_the_schedule_with_the_reason(database: Database, clock: Clock) -> None:
    with database.write() as connection:
        connection.execute(insert(tables.locations), [{"id": 9, "name": "Nowhere"}])
    add(database, request=replace(EVERYBODY, location=9))
    with database.write() as connection:
        connection.execute(delete(tables.locations).where(tables.locations.c.id == 9))
    clock.go_on(hours=2)
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [FAILED]
    schedule = schedule_of(database)
    assert schedule.state is ScheduleState.PAUSED
    assert (schedule.state_reason or "").startswith("location 9 is gone; ")


def test_another_administrator_takes_a_schedule_over_from_an_owner_who_is_gone(
    database: Database, clock: Clock
) -> None:
    add(database, login="north.admin")
    with database.write() as connection:
        connection.execute(delete(tables.users).where(tables.users.c.id == 2))
    clock.go_on(hours=2)
    fire(database)
    with pytest.raises(Conflict, match="is gone"):
        scheduling(database).resume("nightly")
    scheduling(database).edit("nightly", lambda schedule: schedule, take_over=True)
    scheduling(database).resume("nightly")
    clock.go_on(days=1)
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [FAILED, SUBMITTED]


def test_users_or_content_that_are_gone_fail_the_run_with_the_reason_and_the_schedule_goes_on(
    database: Database, clock: Clock
) -> None:
    chapter = ContentSelection(chapters=(1003,))
    request = ResetRequest(kind=Kind.TRAINING, users=UserSelection(logins=("chloe",)), content=chapter, location=1)
    add(database, request=request)
    with database.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 13).values(login="zoe"))
    clock.go_on(hours=2)
    fire(database)
    (run,) = runs_of(database)
    assert (run.outcome, schedule_of(database).state) == (FAILED, ScheduleState.ACTIVE)
    assert "no user at North is called chloe" in (run.reason or "")
    with database.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 13).values(login="chloe"))
    clock.go_on(days=1)
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [FAILED, SUBMITTED]
