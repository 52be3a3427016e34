"""A job in which too many users fail is stopped before it does more harm; on both databases."""

import pytest

from jobs.database import Database
from jobs.model import JobState
from jobs.store import chunk_rows
from tests.interruptions import poison
from tests.small import (
    fill_crowd,
    job_of,
    of_users,
    ranges_of,
    set_job,
    submit,
)
from tests.steering import (
    claim,
    dispatched,
    housekeeping,
    outcomes,
    retried,
    runner,
    state,
    steering,
)


def finish(database: Database, chunk_id: int, failed: int) -> None:
    """Record a chunk as done, its first users failed and the others unchanged, as if it had run."""
    held = claim(database, chunk_id)
    users = list(range(held.users))
    with database.write() as connection:
        assert chunk_rows.finish_if_fence_holds(connection, held, users, {}, dict.fromkeys(users[:failed], "cursed"))


def submit_halves(database: Database, learners: int = 1101) -> int:
    """Submit a job whose first two chunks hold 501 users each."""
    job = submit(database, of_users(fill_crowd(database, learners)), chunk_size=501)
    set_job(database, job, state="running")
    return job


def test_a_job_in_which_more_than_half_of_a_thousand_failed_is_broken_off_and_can_be_retried(
    database: Database,
) -> None:
    job = submit_halves(database)
    first, second, third = dispatched(database)
    finish(database, first, failed=501)
    poison(database, [1502])  # the first user of the second chunk
    claim(database, third)
    assert runner(database).run(second)
    assert state(database, job) == "cancelling"
    housekeeping(database)

    ended = job_of(database, job)
    assert ended.state is JobState.FAILED
    assert ended.state_reason == "502 of the first 1,002 users failed; it stopped to do no more harm"
    assert ranges_of(database, job) == [(0, 500), (501, 1001)], "nothing is in flight"
    assert not runner(database).run(third)
    again = retried(database, job)
    assert list(outcomes(database, again.id)) == [*range(1001, 1503), *range(2003, 2102)]


@pytest.mark.parametrize(
    ("failed_of_first", "failed_of_second"), [(501, 0), (500, 1), (0, 0)], ids=["half", "half of both", "none"]
)
def test_a_job_in_which_half_or_fewer_failed_goes_on(
    database: Database, failed_of_first: int, failed_of_second: int
) -> None:
    job = submit_halves(database)
    first, second, third = dispatched(database)
    finish(database, first, failed=failed_of_first)
    finish(database, second, failed=failed_of_second)
    housekeeping(database)
    assert state(database, job) == "running"
    finish(database, third, failed=0)
    housekeeping(database)
    assert job_of(database, job).state.ended
    assert state(database, job) != "failed"


def test_fewer_than_a_thousand_users_are_not_enough_to_judge_by(database: Database) -> None:
    job = submit_halves(database)
    finish(database, dispatched(database)[0], failed=501)
    housekeeping(database)
    assert state(database, job) == "running"


def test_a_job_that_was_broken_off_has_failed_although_its_last_chunks_went_well(postgres: Database) -> None:
    job = submit_halves(postgres, 1503)
    first, second, third = dispatched(postgres)
    finish(postgres, first, failed=501)
    held = claim(postgres, third)
    with postgres.write("REPEATABLE READ") as connection:
        assert chunk_rows.lock_if_fence_holds(connection, held)
        finish(postgres, second, failed=1)
        for _ in range(3):
            housekeeping(postgres)
            assert state(postgres, job) == "cancelling"
        assert chunk_rows.finish_if_fence_holds(connection, held, list(range(501)), {}, {})
    housekeeping(postgres)
    ended = job_of(postgres, job)
    assert ended.state is JobState.FAILED
    assert ended.state_reason == "502 of the first 1,002 users failed; it stopped to do no more harm"


def test_a_job_that_somebody_cancels_is_cancelled_however_many_failed(database: Database) -> None:
    job = submit_halves(database)
    for chunk in dispatched(database)[:2]:
        finish(database, chunk, failed=501)
    steering(database).cancel(job)
    assert (state(database, job), job_of(database, job).state_reason) == ("cancelled", None)
