"""Blackouts on both databases: who may order them, and that jobs hold at once, by themselves, and go on."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from jobs.blackout import Blackout, parse_days
from jobs.blackoutkeeping import Blackouts
from jobs.database import Database
from jobs.errors import InputRefused, NotFound, NotPermitted
from jobs.execution import ChunkRunner
from jobs.model import Kind
from jobs.scope import JobOptions
from jobs.services import Administration
from tests.clock import Clock, stop_clock
from tests.contract.test_windows import SETTINGS, House, run_all, runner, standing
from tests.small import TRAINING, chunks_of, fill_small_system, job_of, submit

NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)
SAID = "blackout 2026-12-20..2027-01-05 UTC (exams); ends 2027-01-06T00:00:00Z"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stop_clock(monkeypatch, NOON)


@pytest.fixture
def small(database: Database, clock: Clock) -> Database:  # noqa: ARG001 - everything is by this clock
    fill_small_system(database)
    return database


def add(database: Database, days: str = "2026-12-20..2027-01-05", *, login: str = "root", **how: Any) -> Blackout:  # noqa: ANN401
    how = {"zone": "UTC", "location": "all"} | how
    return Blackouts(database, login).add(parse_days(days), "exams", **how)


def ids(found: list[Blackout]) -> list[int]:
    return [blackout.id for blackout in found]


def test_a_running_job_holds_when_a_blackout_is_ordered_and_goes_on_when_it_is_removed(small: Database) -> None:
    house = House(small)
    job = submit(small, chunk_size=2)
    first, second = house.round()
    assert runner(small).run(first)
    ordered = add(small)
    assert standing(small, job) == ("holding", SAID)
    assert house.round() == []
    assert not runner(small).run(second)
    assert [chunk["state"] for chunk in chunks_of(small)] == ["done", "dispatched"]

    assert Blackouts(small, "root").remove(ordered.id) == ordered
    assert standing(small, job) == ("running", None)
    run_all(small, house.round())
    assert standing(small, job) == ("succeeded", None)


def test_a_job_ends_before_a_blackout_begins_and_goes_on_when_it_is_over(small: Database, clock: Clock) -> None:
    house = House(small)
    add(small, "2026-12-25")
    job = submit(small, chunk_size=2)
    assert job_of(small, job).closes_at == datetime(2026, 12, 25, tzinfo=UTC)
    first, second = house.round()
    assert runner(small).run(first)
    clock.move_to(datetime(2026, 12, 25, tzinfo=UTC) - timedelta(seconds=1))
    assert not runner(small).run(second)
    clock.go_on(seconds=1)
    assert house.round() == []
    assert standing(small, job) == ("holding", "blackout 2026-12-25 UTC (exams); ends 2026-12-26T00:00:00Z")
    clock.go_on(days=1)
    run_all(small, house.round())
    assert standing(small, job) == ("succeeded", None)
    assert [(chunk["retries"], chunk["losses"]) for chunk in chunks_of(small)] == [(0, 0)] * 3


def test_a_blackout_of_the_future_bounds_a_job_that_runs_already(small: Database) -> None:
    job = submit(small, chunk_size=2)
    House(small).round()
    add(small, "2026-12-25..2026-12-26", zone="Europe/Athens")
    assert job_of(small, job).closes_at == datetime(2026, 12, 24, 22, tzinfo=UTC)
    assert standing(small, job) == ("queued", None)


def test_what_is_urgent_runs_during_a_blackout_and_the_preview_says_so(small: Database) -> None:
    add(small)
    administration = Administration(small, "root")
    assert administration.preview(TRAINING).notes == (f"It would not begin now but hold: {SAID}.",)
    urgent = JobOptions(reason="a new year", urgent=True)
    assert administration.preview(TRAINING, urgent).notes == (f"Being urgent, it does not wait for this: {SAID}.",)
    held, job = submit(small), submit(small, urgent=True)
    assert (standing(small, held), standing(small, job)) == (("holding", SAID), ("queued", None))
    run_all(small, House(small).round())
    assert (standing(small, held), standing(small, job)) == (("holding", SAID), ("succeeded", None))


def test_a_learner_s_own_reset_does_not_wait_for_a_blackout(small: Database) -> None:
    add(small)
    job = Administration(small, "boris").reset_own_in_progress()
    assert (job.urgent, job.kind) == (True, Kind.IN_PROGRESS)
    ChunkRunner(small, "worker", SETTINGS).run(House(small).round()[0])
    assert standing(small, job.id) == ("succeeded", None)


def test_only_jobs_of_its_location_and_of_all_locations_wait_for_a_blackout_of_one(small: Database) -> None:
    add(small, location=2)
    north = submit(small)
    south = submit(small, replace(TRAINING, location=2))
    everywhere = submit(small, replace(TRAINING, location="all"))
    said = SAID.replace(" (exams)", " at location 2 (exams)")
    assert standing(small, north) == ("queued", None)
    assert standing(small, south) == standing(small, everywhere) == ("holding", said)


def test_administrators_order_blackouts_for_their_own_location_and_super_users_for_any(small: Database) -> None:
    root, north, south = (Blackouts(small, login) for login in ("root", "north.admin", "south.admin"))
    everywhere = add(small)
    there = add(small, location=2)
    own = add(small, login="north.admin", location=None)
    assert (everywhere.location_id, there.location_id, own.location_id) == (None, 2, 1)
    assert add(small, location=None).location_id == 1  # where root stands
    for location in ("all", 2):
        with pytest.raises(NotPermitted):
            add(small, login="north.admin", location=location)
    with pytest.raises(NotPermitted):
        add(small, login="ada", location=None)
    with pytest.raises(NotPermitted):
        Blackouts(small, "ada").list()
    with pytest.raises(NotFound, match="77"):
        add(small, location=77)

    assert ids(root.list()) == [1, 2, 3, 4]
    assert ids(north.list()) == [1, 3, 4]
    assert ids(south.list()) == [1, 2]
    with pytest.raises(NotFound, match="no blackout has the id 2"):
        north.remove(2)
    with pytest.raises(NotPermitted, match="blackout 1 is for all locations"):
        north.remove(1)
    north.remove(own.id)
    root.remove(everywhere.id)
    assert ids(root.list()) == [2, 4]
    for unknown in (0, 1, 2**70):
        with pytest.raises(NotFound):
            root.remove(unknown)


def test_blackouts_that_are_over_are_listed_only_when_asked_for(small: Database, clock: Clock) -> None:
    past = add(
        small, "2026-12-20..2026-12-23", zone="Pacific/Niue"
    )  # eleven hours behind: it ends at 11:00Z on the 24th
    to_come = add(small, "2027-06-01")
    clock.move_to(datetime(2026, 12, 24, 10, 59, tzinfo=UTC))
    assert Blackouts(small, "root").list() == [past, to_come]
    clock.move_to(datetime(2026, 12, 24, 11, tzinfo=UTC))
    assert Blackouts(small, "root").list() == [to_come]
    assert Blackouts(small, "root").list(past=True) == [past, to_come]


def test_a_blackout_keeps_what_it_was_ordered_with(small: Database) -> None:
    assert add(small, zone="Europe/London", location=2) == Blackout(
        id=1,
        first_day=date(2026, 12, 20),
        last_day=date(2027, 1, 5),
        zone="Europe/London",
        location_id=2,
        reason="exams",
        actor_login="root",
    )
    with pytest.raises(InputRefused, match="reason is blank"):
        Blackouts(small, "root").add(parse_days("2026-12-20"), " ", zone="UTC", location=None)
