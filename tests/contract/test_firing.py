"""Schedules are fired on both databases: each time once, whatever the clock does, whoever leads, whatever fails."""

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, update

from jobs.database import Database
from jobs.firing import fire_due
from jobs.model import JobState, Kind
from jobs.records import tables
from jobs.schedule import CatchUp, Overlap, RunOutcome, ScheduleState
from jobs.scope import ContentSelection, ResetRequest
from jobs.store import schedule_rows
from jobs.store.schedule_tables import schedules
from jobs.store.tables import jobs
from jobs.timing import Once
from tests.clock import Clock, stop_clock
from tests.contract.test_housekeeping import at_once, keeper
from tests.schedules import EVERYBODY, GRACE, MIDNIGHT, add, every, fire, outcomes_of, runs_of, schedule_of, scheduling
from tests.small import Broker, fill_crowd, job_of, set_back, work

SUBMITTED, NOTHING, SKIPPED = RunOutcome.SUBMITTED, RunOutcome.NOTHING, RunOutcome.SKIPPED
HELD, FAILED, WAITING = RunOutcome.HELD, RunOutcome.FAILED, RunOutcome.WAITING


def complete_again(database: Database, clock: Clock, user: int = 11, course: int = 101) -> None:
    """Let a learner complete a course once more, now."""
    with database.write() as connection:
        mine = tables.course_progress.c.user_id == user
        connection.execute(
            update(tables.course_progress)
            .where(mine, tables.course_progress.c.course_id == course)
            .values(status="completed", started_at=clock.now, completed_at=clock.now, last_activity_at=clock.now)
        )


# A time that has come.


def test_a_time_is_fired_when_it_has_come_once_and_makes_the_job_of_its_owner(database: Database, clock: Clock) -> None:
    add(database)
    clock.go_on(hours=1, minutes=59)
    fire(database)
    assert runs_of(database) == []
    clock.go_on(minutes=1)
    for _ in range(3):
        fire(database)
    (run,) = runs_of(database)
    assert (run.fire_time, run.outcome, run.late) == (MIDNIGHT + timedelta(hours=2), SUBMITTED, False)
    assert run.job_id is not None
    job = job_of(database, run.job_id)
    assert (job.state, job.actor_login, job.location_id, job.reason) == (JobState.QUEUED, "root", 1, "maintenance")
    assert job.users_total == 6
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(days=1, hours=2)


def test_users_and_content_are_those_of_the_moment_of_the_run(database: Database, clock: Clock) -> None:
    request = ResetRequest(kind=Kind.TRAINING, content=ContentSelection(content_roles=(31,)), location=1)
    add(database, request=request)
    clock.go_on(hours=2)
    with database.write() as connection:
        connection.execute(insert(tables.user_content_roles), {"user_id": 14, "content_role_id": 31})
    fire(database)
    (run,) = runs_of(database)
    assert run.job_id is not None
    assert job_of(database, run.job_id).users_total == 3


def test_an_age_counts_back_from_the_time_of_the_run(database: Database, clock: Clock) -> None:
    request = replace(EVERYBODY, cutoff=timedelta(days=100))
    add(database, request=request)
    clock.go_on(hours=2, seconds=30)
    fire(database)
    (run,) = runs_of(database)
    assert run.job_id is not None
    assert job_of(database, run.job_id).cutoff == MIDNIGHT + timedelta(hours=2, days=-100)


def test_a_run_that_would_change_nothing_is_recorded_as_such_and_makes_no_job(database: Database, clock: Clock) -> None:
    add(database, timing=every(days=1))
    for _ in range(2):
        clock.go_on(days=1)
        fire(database)
        work(database)
    assert outcomes_of(database) == [("05-02 00:00", SUBMITTED, False), ("05-03 00:00", NOTHING, False)]
    assert runs_of(database)[1].job_id is None
    assert runs_of(database)[1].reason == "no record would change"


def test_a_run_that_means_nobody_is_nothing_and_no_error(database: Database, clock: Clock) -> None:
    request = ResetRequest(kind=Kind.TRAINING, content=ContentSelection(content_roles=(31,)), location=1)
    add(database, request=request)
    with database.write() as connection:
        connection.execute(delete(tables.user_content_roles))
    clock.go_on(hours=2)
    fire(database)
    (run,) = runs_of(database)
    assert run.outcome is NOTHING
    assert "no user at North" in (run.reason or "")


def test_one_time_ends_the_schedule(database: Database, clock: Clock) -> None:
    add(database, timing=Once(MIDNIGHT + timedelta(hours=1)))
    clock.go_on(hours=1)
    fire(database)
    schedule = schedule_of(database)
    assert (schedule.state, schedule.next_fire_at) == (ScheduleState.ENDED, None)
    assert [run.outcome for run in runs_of(database)] == [SUBMITTED]


# Times that were missed.


def test_of_missed_times_the_last_runs_late_and_the_others_are_recorded(database: Database, clock: Clock) -> None:
    add(database)
    clock.go_on(days=4, hours=3)
    fire(database)
    missed, last = runs_of(database)
    assert (missed.outcome, missed.times) == (SKIPPED, 4)
    assert (missed.fire_time.day, missed.last_time.day) == (1, 4)
    assert "4 times missed" in (missed.reason or "")
    assert (last.fire_time, last.outcome, last.late) == (MIDNIGHT + timedelta(days=4, hours=2), SUBMITTED, True)
    assert last.reason == "1:00:00 late"
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(days=5, hours=2)


def test_with_catch_up_none_missed_times_do_not_run_and_one_within_its_grace_does(
    database: Database, clock: Clock
) -> None:
    add(database, catch_up=CatchUp.NONE)
    clock.go_on(days=2, hours=3)
    fire(database)
    (missed,) = runs_of(database)
    assert (missed.outcome, missed.times, missed.last_time.day) == (SKIPPED, 3, 3)
    clock.go_on(days=1, hours=-1, seconds=59)
    fire(database)
    assert outcomes_of(database)[1:] == [("05-04 02:00", SUBMITTED, False)]


def test_with_catch_up_all_each_missed_time_runs_after_the_job_of_the_one_before(
    database: Database, clock: Clock
) -> None:
    add(database, catch_up=CatchUp.ALL)
    clock.go_on(days=2, hours=3)
    for _ in range(3):
        fire(database)
        work(database)
        complete_again(database, clock)
    fire(database)
    assert outcomes_of(database) == [
        ("05-01 02:00", SUBMITTED, True),
        ("05-02 02:00", SUBMITTED, True),
        ("05-03 02:00", SUBMITTED, True),
    ]
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(days=3, hours=2)


def test_a_year_of_missed_minutes_takes_few_rows_and_the_last_one_runs(database: Database, clock: Clock) -> None:
    add(database, timing=every(minutes=1))
    clock.go_on(days=365)
    fire(database)
    runs = runs_of(database)
    assert sum(run.times for run in runs) == 365 * 24 * 60
    assert len(runs) < 50
    assert [run.outcome for run in runs[:-1]] == [SKIPPED] * (len(runs) - 1)
    assert (runs[-1].fire_time, runs[-1].outcome) == (clock.now, SUBMITTED)
    for earlier, later in pairwise(runs):
        assert later.fire_time == earlier.last_time + timedelta(minutes=1)


# A clock that jumps.


def test_a_clock_that_goes_back_lets_no_time_run_twice(database: Database, clock: Clock) -> None:
    add(database)
    clock.go_on(hours=2)
    fire(database)
    work(database)
    clock.go_on(days=-1)
    fire(database)
    scheduling(database).pause("nightly")
    scheduling(database).resume("nightly")
    clock.go_on(days=1)
    complete_again(database, clock)
    fire(database)
    assert outcomes_of(database) == [("05-01 02:00", SUBMITTED, False)]
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(days=1, hours=2)


# Overlap with its own job.


def test_a_time_is_skipped_while_the_job_of_an_earlier_one_has_not_ended(database: Database, clock: Clock) -> None:
    add(database)
    clock.go_on(hours=2)
    fire(database)
    clock.go_on(days=1)
    fire(database)
    first, second = runs_of(database)
    assert (second.outcome, second.job_id) == (SKIPPED, None)
    assert second.reason == f"job {first.job_id} (queued) had not ended"


def test_with_overlap_queue_one_run_waits_for_the_job_and_further_ones_are_skipped(
    database: Database, clock: Clock
) -> None:
    add(database, timing=every(hours=1), overlap=Overlap.QUEUE)
    for _ in range(3):
        clock.go_on(hours=1)
        fire(database)
    first, second, third = runs_of(database)
    assert [run.outcome for run in (first, second, third)] == [SUBMITTED, WAITING, SKIPPED]
    assert second.reason == f"waits for job {first.job_id} (queued)"
    assert "the run of 2026-05-01T02:00:00Z waits for it already" in (third.reason or "")
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [SUBMITTED, WAITING, SKIPPED]

    work(database)
    complete_again(database, clock)
    fire(database)
    _, second, _ = runs_of(database)
    assert second.outcome is SUBMITTED
    assert second.job_id not in (None, first.job_id)
    assert (second.reason or "").startswith(f"waited for job {first.job_id}")


def test_a_run_that_waits_is_given_up_when_the_schedule_is_paused(database: Database, clock: Clock) -> None:
    add(database, timing=every(hours=1), overlap=Overlap.QUEUE)
    for _ in range(2):
        clock.go_on(hours=1)
        fire(database)
    scheduling(database).pause("nightly")
    work(database)
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [SUBMITTED, SKIPPED]


# Runs that are held.


def test_a_run_that_would_change_too_many_is_held_until_somebody_resumes_its_job(
    database: Database, clock: Clock
) -> None:
    add(database, max_users=1)
    clock.go_on(hours=2)
    fire(database)
    (run,) = runs_of(database)
    assert run.outcome is HELD
    assert run.job_id is not None
    job = job_of(database, run.job_id)
    assert job.state is JobState.PAUSED
    reason = "would change 2 users, more than the 1 of its schedule nightly; resume it or cancel it"
    assert (job.state_reason, run.reason) == (reason, reason)
    work(database)
    assert job_of(database, run.job_id).state is JobState.PAUSED


# Trouble.


def test_an_error_while_firing_one_schedule_is_recorded_and_does_not_stop_the_others(
    database: Database, clock: Clock
) -> None:
    for name in ("a", "b", "c"):
        add(database, name)
    with database.write() as connection:  # a job that the database refuses
        refused = update(schedules).where(schedules.c.name == "b").values(options='{"reason": ""}')
        connection.execute(refused)
    clock.go_on(hours=2)
    fire(database)
    assert [run.outcome for name in "abc" for run in runs_of(database, name)] == [SUBMITTED, FAILED, SUBMITTED]
    (run,) = runs_of(database, "b")
    assert (run.reason or "").startswith("IntegrityError: ")
    assert schedule_of(database, "b").next_fire_at == MIDNIGHT + timedelta(days=1, hours=2)


def test_a_schedule_that_cannot_even_be_read_does_not_stop_the_others(database: Database, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        add(database, name)
    with database.write() as connection:
        connection.execute(update(schedules).where(schedules.c.name == "b").values(request="{}"))
    clock.go_on(hours=2)
    fire(database)
    assert [run.outcome for name in "ac" for run in runs_of(database, name)] == [SUBMITTED, SUBMITTED]


def test_schedules_take_turns_when_a_round_has_no_time_for_all(database: Database, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        add(database, name, catch_up=CatchUp.ALL)
        with database.write() as connection:
            connection.execute(update(schedules).where(schedules.c.name == name).values(stepped_at=clock.now))
        clock.go_on(seconds=1)
    empty_records(database)
    clock.go_on(days=300)
    for _ in range(7):
        clock.go_on(seconds=1)
        fire_due(database, GRACE, between=lambda: None, seconds=0)
    assert [len(runs_of(database, name)) for name in "abc"] == [3, 2, 2]


def test_counting_for_long_gives_others_their_moments(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_crowd(database, 2500)
    clock, moments = stop_clock(monkeypatch, MIDNIGHT), list[datetime]()
    add(database, max_users=1)
    clock.go_on(hours=2)
    fire_due(database, GRACE, between=lambda: moments.append(clock.now))
    assert len(moments) == 3
    assert [run.outcome for run in runs_of(database)] == [HELD]


def test_four_leaders_at_once_fire_each_time_once(database: Database, database_url: str) -> None:
    fill_crowd(database, 3)
    names = [f"s{number}" for number in range(8)]
    for name in names:
        add(database, name, timing=every(hours=2))
    set_back(database, schedules, "next_fire_at")
    at_once(database_url, lambda own, _: fire(own))
    fire(database)
    assert [[run.outcome for run in runs_of(database, name)] for name in names] == [[SUBMITTED]] * 8
    assert len({run.job_id for name in names for run in runs_of(database, name)}) == 8


FIRE = "import sys; from tests.schedules import fire; from jobs.database import Database; fire(Database(sys.argv[1]))"


def test_three_processes_at_once_fire_each_time_once(database: Database, database_url: str) -> None:
    fill_crowd(database, 3)
    names = [f"s{number}" for number in range(12)]
    for name in names:
        add(database, name, timing=every(hours=2))
    set_back(database, schedules, "next_fire_at")
    root = Path(__file__).parents[2]
    leaders = [subprocess.Popen([sys.executable, "-c", FIRE, database_url], cwd=root) for _ in range(3)]
    assert [leader.wait(60) for leader in leaders] == [0, 0, 0]
    fire(database)
    assert [[run.outcome for run in runs_of(database, name)] for name in names] == [[SUBMITTED]] * 12
    assert scheduled_jobs(database) == 12


def test_a_leader_that_dies_before_its_commit_leaves_the_time_to_the_next_one(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    clock.go_on(hours=2)
    with monkeypatch.context() as patch:
        patch.setattr(schedule_rows, "insert_run", _dies)
        with pytest.raises(SystemExit):
            fire(database)
    assert runs_of(database) == []
    assert scheduled_jobs(database) == 0
    fire(database)
    assert [run.outcome for run in runs_of(database)] == [SUBMITTED]
    assert scheduled_jobs(database) == 1


def _dies(*_: object) -> None:
    raise SystemExit


def scheduled_jobs(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(jobs)).scalar_one()


def empty_records(database: Database) -> None:
    """Leave nothing to reset."""
    with database.write() as connection:
        for table in (tables.attempts, tables.chapter_progress, tables.course_progress):
            connection.execute(delete(table))


def test_the_housekeeper_that_leads_fires_and_dispatches_in_one_round(database: Database) -> None:
    fill_crowd(database, 3)
    add(database, timing=every(hours=2))
    set_back(database, schedules, "next_fire_at")
    broker = Broker()
    keeper(database, broker).round()
    assert len(broker.messages) == 1
    assert [run.outcome for run in runs_of(database)] == [SUBMITTED]
