"""Windows on both databases, by a clock that the test moves: held outside, released, closed while chunks run."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from jobs.database import Database
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.model import JobState
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import chunk_rows
from jobs.store.chunk_rows import Owner
from jobs.windows import Window
from tests.clock import Clock, stop_clock
from tests.interruptions import drug
from tests.small import (
    TRAINING,
    Broker,
    archived,
    chunks_of,
    dump,
    fill_crowd,
    job_of,
    of_users,
    set_job,
    submit,
    work,
)

SETTINGS = Settings(window=2, chunk_seconds=0.5)
NIGHT = Window.parse("22:00-05:00 Europe/London")
EVENING, OPENING = datetime(2026, 11, 23, 21, tzinfo=UTC), datetime(2026, 11, 23, 22, tzinfo=UTC)
CLOSING = datetime(2026, 11, 24, 5, tzinfo=UTC)
OUTSIDE = "outside its window 22:00-05:00 Europe/London; opens 2026-11-23T22:00:00Z"
OUTSIDE_NEXT_DAY = "outside its window 22:00-05:00 Europe/London; opens 2026-11-24T22:00:00Z"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stop_clock(monkeypatch, EVENING)


@pytest.fixture
def crowd(database: Database, clock: Clock) -> list[int]:  # noqa: ARG001 - everything is by this clock
    return fill_crowd(database, 12)


class House:
    """A worker's housekeeper, and the messages that it sends."""

    def __init__(self, database: Database) -> None:
        self.broker = Broker()
        self._keeper = Housekeeper(
            database,
            SETTINGS,
            "worker",
            self.broker,
            waiting=lambda: 0,
            lives=lambda _: True,
            kill=lambda _: None,
            start_courier=lambda: None,
        )

    def round(self) -> list[int]:
        self._keeper.beat()
        self._keeper.round()
        return self.broker.take()


@contextmanager
def when(database: Database, words: str, clock: Clock, moment: datetime) -> Iterator[None]:
    """Move the clock when a statement with these words begins."""

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if words in statement:
            clock.move_to(moment)

    event.listen(database.engine, "before_cursor_execute", listen)
    yield
    event.remove(database.engine, "before_cursor_execute", listen)


def runner(database: Database) -> ChunkRunner:
    return ChunkRunner(database, "worker", SETTINGS, sleep=lambda _: None)


def run_all(database: Database, sent: list[int]) -> None:
    for chunk in sent:
        runner(database).run(chunk)
    work(database, SETTINGS)


def standing(database: Database, job: int) -> tuple[str, str | None]:
    found = job_of(database, job)
    return found.state.value, found.state_reason


def test_outside_its_window_a_job_holds_with_the_reason_and_goes_on_by_itself_at_the_opening(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    house = House(database)
    job = submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=6)
    assert standing(database, job) == ("holding", OUTSIDE)
    clock.move_to(OPENING - timedelta(seconds=1))
    assert house.round() == []
    assert standing(database, job) == ("holding", OUTSIDE)

    clock.move_to(OPENING)
    sent = house.round()
    assert len(sent) == 2
    assert standing(database, job) == ("queued", None)
    assert job_of(database, job).closes_at == CLOSING
    run_all(database, sent)
    assert standing(database, job) == ("succeeded", None)


def test_a_running_job_holds_at_the_closing_and_goes_on_at_the_next_opening_with_what_is_left(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(OPENING)
    house = House(database)
    job = submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=2)
    first, second = house.round()
    assert runner(database).run(first)
    assert standing(database, job) == ("running", None)

    clock.move_to(CLOSING)
    assert not runner(database).run(second)
    assert house.round() == []
    assert standing(database, job) == ("holding", OUTSIDE_NEXT_DAY)
    assert archived(database, job)["course_progress"] == [(user, 101) for user in crowd[:2]]

    clock.move_to(OPENING + timedelta(days=1))
    sent = house.round()
    assert second in sent  # it had lost its message
    assert standing(database, job) == ("running", None)
    run_all(database, sent)
    assert standing(database, job) == ("succeeded", None)
    assert archived(database, job)["course_progress"] == [(user, 101) for user in crowd]
    assert [(chunk["retries"], chunk["losses"]) for chunk in chunks_of(database)] == [(0, 0)] * 6


def test_no_chunk_is_dispatched_or_claimed_that_has_too_little_time_left(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(CLOSING - timedelta(seconds=1.1))  # two chunks take a second
    house = House(database)
    submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=4)
    first, second = house.round()
    assert runner(database).run(first)
    clock.move_to(CLOSING - timedelta(seconds=1))
    assert house.round() == []
    assert not runner(database).run(second)
    assert [chunk["state"] for chunk in chunks_of(database)] == ["done", "dispatched"]


def test_a_chunk_without_time_left_is_not_preferred_to_one_of_a_lower_priority(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(CLOSING - timedelta(minutes=1))
    house = House(database)
    low = submit(database, of_users(crowd))
    chunk = house.round()[0]
    high = submit(database, of_users(crowd), windows=(NIGHT,), priority=2)
    house.round()
    clock.move_to(CLOSING - timedelta(seconds=1))
    assert runner(database).run(chunk)
    assert (job_of(database, low).state, job_of(database, high).state) == (JobState.SUCCEEDED, JobState.QUEUED)


def test_a_deadline_does_not_reach_beyond_the_closing(database: Database, clock: Clock, crowd: list[int]) -> None:
    clock.move_to(CLOSING - timedelta(seconds=40))
    submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=6)
    deadlines = []
    first, second = House(database).round()
    runner(database).run(first)
    deadlines.append(chunks_of(database)[0]["deadline"])
    clock.move_to(CLOSING - timedelta(hours=1))
    runner(database).run(second)
    deadlines.append(chunks_of(database)[1]["deadline"])
    assert deadlines == [CLOSING, CLOSING - timedelta(hours=1) + timedelta(seconds=SETTINGS.chunk_deadline_seconds)]


def test_the_checkpoint_refuses_to_commit_from_the_closing_on_and_that_costs_no_attempt(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(CLOSING - timedelta(seconds=30))
    house = House(database)
    job = submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=12)
    (chunk,) = house.round()
    before = {table: rows for table, rows in dump(database).items() if table not in ("jobs", "chunks", "workers")}
    with when(database, "INSERT INTO archive_attempts", clock, CLOSING):
        assert not runner(database).run(chunk)
    after = dump(database)
    assert {table: after[table] for table in before} == before
    (handed_back,) = chunks_of(database)
    assert (handed_back["state"], handed_back["retries"], handed_back["losses"]) == ("dispatched", 0, 0)
    assert (handed_back["first_ordinal"], handed_back["last_ordinal"]) == (0, 11)
    assert standing(database, job) == ("holding", OUTSIDE_NEXT_DAY)

    clock.move_to(CLOSING + timedelta(hours=20))
    run_all(database, house.round())
    assert standing(database, job) == ("succeeded", None)
    assert archived(database, job)["course_progress"] == [(user, 101) for user in crowd]


def test_a_chunk_that_commits_just_before_the_closing_counts_and_ends_its_job(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(CLOSING - timedelta(seconds=30))
    job = submit(database, of_users(crowd), windows=(NIGHT,))
    (chunk,) = House(database).round()
    with when(database, "INSERT INTO archive_attempts", clock, CLOSING - timedelta(microseconds=1)):
        assert runner(database).run(chunk)
    assert standing(database, job) == ("succeeded", None)


def test_a_job_whose_last_chunk_is_done_ends_although_its_window_closed_meanwhile(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(OPENING)
    house = House(database)
    job = submit(database, of_users(crowd), windows=(NIGHT,))
    work(database, SETTINGS)
    clock.move_to(CLOSING)
    set_job(database, job, state="holding", state_reason=OUTSIDE, finished_at=None)
    house.round()
    assert standing(database, job) == ("succeeded", None)


def test_what_a_dead_worker_held_at_the_closing_comes_back_whole_and_costs_nobody_anything(
    database: Database, clock: Clock, crowd: list[int]
) -> None:
    clock.move_to(CLOSING - timedelta(seconds=30))
    house = House(database)
    job = submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=12)
    (chunk,) = house.round()
    with database.write() as connection:
        assert chunk_rows.claim_if_dispatched(connection, chunk, Owner(worker_id="worker", process_id=1), 60)
    clock.move_to(CLOSING + timedelta(seconds=1))
    house.round()
    (returned,) = chunks_of(database)
    assert (returned["state"], returned["losses"], returned["last_ordinal"]) == ("dispatched", 0, 11)
    assert standing(database, job) == ("holding", OUTSIDE_NEXT_DAY)


def test_a_statement_that_would_outlast_the_window_is_ended_at_its_closing_and_that_costs_no_attempt(
    postgres_database_url: str,
) -> None:
    database = Database(postgres_database_url)
    crowd = fill_crowd(database, 3)
    drug(database, crowd[:1])  # its reset takes a minute
    now = datetime.now(UTC)
    window = Window.parse(f"{now - timedelta(seconds=60):%H:%M:%S}-{now + timedelta(seconds=2):%H:%M:%S} UTC")
    job = submit(database, of_users(crowd), windows=(window,))
    settings = Settings(chunk_seconds=0.1)
    work(database, settings)
    (chunk,) = chunks_of(database)
    assert (chunk["state"], chunk["retries"], chunk["last_ordinal"]) == ("dispatched", 0, 2)
    assert job_of(database, job).state is JobState.HOLDING
    assert archived(database, job)["attempts"] == []
    database.close()


def test_a_job_that_is_resumed_outside_its_window_holds(database: Database, clock: Clock, crowd: list[int]) -> None:
    clock.move_to(OPENING)
    job = submit(database, of_users(crowd), windows=(NIGHT,), chunk_size=6)
    runner(database).run(House(database).round()[0])
    steering = Steering(database, "root")
    steering.pause(job)
    assert standing(database, job) == ("paused", None)
    clock.move_to(CLOSING)
    steering.resume(job)
    assert standing(database, job) == ("holding", OUTSIDE_NEXT_DAY)
    clock.move_to(OPENING + timedelta(days=1))
    House(database).round()
    assert standing(database, job) == ("running", None)


def test_the_reason_follows_what_makes_the_job_wait(database: Database, clock: Clock, crowd: list[int]) -> None:
    job = submit(database, of_users(crowd), windows=(NIGHT,), not_before=EVENING + timedelta(minutes=30))
    assert standing(database, job) == ("holding", "not before 2026-11-23T21:30:00Z")
    house = House(database)
    clock.move_to(EVENING + timedelta(minutes=30))
    house.round()
    assert standing(database, job) == ("holding", OUTSIDE)


def test_several_windows_are_kept_with_the_job_and_carried_on_to_its_retry(
    database: Database, crowd: list[int]
) -> None:
    windows = (NIGHT, Window.parse("sat,sun 00:00-24:00 Asia/Tokyo"))
    job = submit(database, of_users(crowd), windows=windows, urgent=True)
    assert job_of(database, job).windows == windows
    assert job_of(database, job).state_reason == (
        "outside its windows 22:00-05:00 Europe/London, sat,sun 00:00-24:00 Asia/Tokyo; opens 2026-11-23T22:00:00Z"
    )
    Steering(database, "root").cancel(job)
    again, _ = Steering(database, "root").retry(job, JobOptions(reason="again"))
    assert (again.windows, again.urgent, again.state) == (windows, True, JobState.HOLDING)


def test_a_preview_says_that_the_job_would_hold_and_why(database: Database, clock: Clock, crowd: list[int]) -> None:  # noqa: ARG001
    administration, wishes = Administration(database, "root"), JobOptions(reason="a new year", windows=(NIGHT,))
    assert administration.preview(TRAINING).notes == ()
    assert administration.preview(TRAINING, wishes).notes == (f"It would not begin now but hold: {OUTSIDE}.",)
    clock.move_to(OPENING)
    assert administration.preview(TRAINING, wishes).notes == ()
