"""The pace of a job on both databases: its rate and priority, set while it waits, runs or stands still."""

import pytest

from jobs.database import Database
from jobs.errors import Conflict, InputRefused
from jobs.model import JobState, Outcome
from tests.installation import eventually
from tests.interruptions import Sleeper
from tests.small import fill_crowd, job_of, of_users, ranges_of, submit, work
from tests.steering import dispatched, outcomes, runner, steering


def pace(database: Database, job: int) -> tuple[float | None, int]:
    found = job_of(database, job)
    return found.max_rate, found.priority


def test_the_pace_is_set_where_it_is_given_and_left_where_it_is_not(small: Database, job: int) -> None:
    steering(small).set_pace(job, max_rate=2.5, priority=None)
    assert pace(small, job) == (2.5, 1)
    steering(small).set_pace(job, max_rate=None, priority=2)
    assert pace(small, job) == (2.5, 2)


def test_a_faster_rate_holds_from_the_next_chunk_on_however_slow_the_job_was(database: Database) -> None:
    job = submit(database, of_users(fill_crowd(database, 20)), chunk_size=2, max_rate=0.01)
    assert ranges_of_dispatched(database) == [(0, 0)], "one user, and the next one in a hundred seconds"
    assert ranges_of_dispatched(database) == [(0, 0)]
    steering(database).set_pace(job, max_rate=1000, priority=None)
    eventually(lambda: ranges_of_dispatched(database)[:3] == [(0, 1), (2, 3), (4, 5)])


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_slower_rate_holds_for_every_chunk_that_no_worker_has_claimed(database: Database, done: int) -> None:
    job = submit(database, of_users(fill_crowd(database, 100)), chunk_size=5)
    waiting = dispatched(database)
    assert len(waiting) == 16, "the window is full"
    for chunk in waiting[:done]:
        assert runner(database).run(chunk)
    steering(database).set_pace(job, max_rate=0.01, priority=None)

    for chunk in waiting[done:]:
        assert not runner(database).run(chunk), "its message is still on its way"
    begun = [(first, first + 4) for first in range(0, 5 * done, 5)]
    assert ranges_of_dispatched(database) == [*begun, (5 * done, 5 * done)]
    assert ranges_of_dispatched(database) == [*begun, (5 * done, 5 * done)]


def test_a_chunk_at_work_ends_although_the_rate_was_changed_and_nobody_is_left_out(
    database: Database, database_url: str
) -> None:
    job = submit(database, of_users(fill_crowd(database, 30)), chunk_size=5)
    first, second, *_ = dispatched(database)
    sleeper = Sleeper(database_url, lambda: steering(database).set_pace(job, max_rate=100_000, priority=None))
    assert runner(sleeper).run(second)
    sleeper.close()
    assert ranges_of(database) == [(0, 4), (5, 9)], "what was dispatched before a chunk at work stays"
    assert runner(database).run(first)
    work(database)
    assert job_of(database, job).state is JobState.SUCCEEDED
    assert list(outcomes(database, job).values()) == [Outcome.CHANGED] * 30


def test_a_job_of_a_higher_priority_takes_the_next_free_places(database: Database) -> None:
    crowd = fill_crowd(database, 60)
    first, second = (submit(database, of_users(crowd), chunk_size=1) for _ in range(2))
    steering(database).set_pace(second, max_rate=None, priority=2)
    assert len(dispatched(database)) == 16
    assert (ranges_of(database, first), len(ranges_of(database, second))) == ([], 16)


def ranges_of_dispatched(database: Database) -> list[tuple[int, int]]:
    dispatched(database)
    return ranges_of(database)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_not_above_zero_is_refused(small: Database, job: int, rate: float) -> None:
    with pytest.raises(InputRefused, match="out of range"):
        steering(small).set_pace(job, max_rate=rate, priority=2)
    assert pace(small, job) == (None, 1)


def test_a_job_that_has_ended_has_no_pace_any_more(small: Database, job: int) -> None:
    work(small)
    with pytest.raises(Conflict, match=f"job {job} is succeeded and has no pace any more"):
        steering(small).set_pace(job, max_rate=1, priority=None)
