"""Who falls due: the report says, day by day, whom the runs will change."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from jobs.database import Database
from jobs.errors import InputRefused
from jobs.model import Kind, Outcome
from jobs.records import tables
from jobs.schema import metadata
from jobs.scope import ContentSelection, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.timing import Cron
from tests.clock import stop_clock
from tests.plainsystem import FORMAT, System
from tests.schedules import EVERYBODY, add, fire, runs_of, scheduling
from tests.small import fill_small_system, work
from tests.systems import CHAPTERS, COURSES, systems

BEGAN = datetime(2024, 3, 1, 0, 0, tzinfo=UTC)
DAYS = 6
AGE = timedelta(days=35)
SELECTIONS = (
    ContentSelection(all_content=True),
    ContentSelection(courses=COURSES[:1]),
    ContentSelection(courses=COURSES[1:3], chapters=CHAPTERS[:1]),
    ContentSelection(chapters=CHAPTERS[1:4]),
)


def fill(database: Database, system: System, chance: Any) -> None:  # noqa: ANN401 - hypothesis's random
    """Load a system; what is completed or was active gets a moment about an age ago, so that it falls due soon."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name not in ("leases", "alembic_version"):
                connection.execute(delete(table))
        for name in FORMAT:
            rows = system.rows(name)
            for row in rows:
                for column in ("completed_at", "last_activity_at"):
                    if row.get(column) is not None:
                        row[column] = BEGAN - AGE + timedelta(hours=chance.randrange(-48, DAYS * 24))
            if rows:
                connection.execute(insert(metadata.tables[name]), rows)
        connection.execute(
            insert(tables.users), {"id": 1, "login": "root", "name": "Root", "location_id": 1, "access": "super_user"}
        )


def changed_by_runs(database: Database) -> dict[datetime, set[int]]:
    """Give the users whom each run changed."""
    changed = {}
    for run in runs_of(database):
        lines = Administration(database, "root").report(run.job_id) if run.job_id else ()
        changed[run.fire_time] = {line.user_id for line in lines if line.outcome is Outcome.CHANGED}
    return changed


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", list(Kind))
def test_the_users_due_at_a_time_are_those_whom_its_run_changes(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: Kind, data: st.DataObject
) -> None:
    system, chance = data.draw(systems(kind.value)), data.draw(st.randoms(use_true_random=False))
    fill(database, system, chance)
    clock = stop_clock(monkeypatch, BEGAN)
    selection = data.draw(st.sampled_from(SELECTIONS))
    users = UserSelection(all_users=True)
    request = ResetRequest(kind=kind, users=users, content=selection, location="all", cutoff=AGE)
    add(database, timing=Cron("30 3 * * *"), request=request)
    told = defaultdict[datetime, set[int]](set)
    for line, _ in scheduling(database).due("nightly", timedelta(days=DAYS)):
        told[line.due_at].add(line.user_id)

    for _ in range(DAYS):
        clock.go_on(days=1)
        fire(database)
        work(database)
    done = changed_by_runs(database)
    assert len(done) == DAYS
    assert dict(told) == {time: users for time, users in done.items() if users}


@pytest.fixture
def rolling(database: Database, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Nightly re-certification of course 101 a year after its completion, which was on 6 January 2026 at 17:30."""
    fill_small_system(database)
    now = datetime(2026, 12, 20, tzinfo=UTC)
    stop_clock(monkeypatch, now)
    add(database, request=replace(EVERYBODY, cutoff=timedelta(days=365)), notice=timedelta(days=14))
    return now


def test_it_names_user_course_completion_and_time_within_the_notice_or_further(
    database: Database, rolling: datetime
) -> None:
    assert scheduling(database).due("nightly") == []
    assert scheduling(database).due("nightly", timedelta(days=17)) == []
    ((line, login),) = scheduling(database).due("nightly", timedelta(days=19))
    assert (line.user_id, login, line.course_id, line.chapter_id) == (11, "ada", 101, None)
    assert line.since == datetime(2026, 1, 6, 17, 30, tzinfo=UTC)
    assert line.due_at == datetime(2027, 1, 7, 2, tzinfo=UTC)
    assert line.due_at > rolling


def test_a_paused_schedule_tells_who_would_fall_due(database: Database, rolling: datetime) -> None:
    scheduling(database).pause("nightly")
    assert len(scheduling(database).due("nightly", timedelta(days=19))) == 1
    assert rolling


def test_without_an_age_nothing_falls_due(database: Database, rolling: datetime) -> None:
    add(database, "all", request=EVERYBODY)
    with pytest.raises(InputRefused, match="has no --completed-before"):
        scheduling(database).due("all")
    assert rolling


def test_who_was_reset_is_not_due_again_until_the_course_is_completed_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_small_system(database)
    clock = stop_clock(monkeypatch, datetime(2027, 1, 6, 12, tzinfo=UTC))
    add(database, request=replace(EVERYBODY, cutoff=timedelta(days=365)))
    within = timedelta(days=400)
    assert [line.user_id for line, _ in scheduling(database).due("nightly", within)] == [11]
    clock.go_on(days=1)
    fire(database)
    work(database)
    assert scheduling(database).due("nightly", within) == []
    with database.write() as connection:
        again = {"status": "completed", "completed_at": clock.now}
        mine = update(tables.course_progress).where(tables.course_progress.c.user_id == 11)
        connection.execute(mine.where(tables.course_progress.c.course_id == 101).values(again))
    ((line, _),) = scheduling(database).due("nightly", within)
    assert line.due_at == datetime(2028, 1, 8, 2, tzinfo=UTC)
