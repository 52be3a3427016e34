"""A retry takes the users whom a job failed or never reached, on the same frozen content; on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, update

from jobs.database import Database
from jobs.errors import Conflict, NotFound
from jobs.model import JobState, Kind, Outcome
from jobs.records import tables
from jobs.scope import ContentSelection, ResetRequest
from jobs.services import Administration
from tests.interruptions import heal, poison
from tests.small import (
    AT_NORTH,
    archived,
    fill_crowd,
    job_of,
    of_users,
    set_job,
    submit,
    work,
)
from tests.steering import (
    RETRY,
    UNFINISHED,
    dispatched,
    outcomes,
    put,
    retried,
    runner,
    state,
    steering,
)


def test_a_retry_takes_exactly_the_failed_and_never_reached_users_in_their_order(database: Database) -> None:
    crowd = fill_crowd(database, 9)
    poison(database, [1002, 1005])
    job = submit(database, of_users(crowd), chunk_size=3, priority=2)
    first, second, _ = dispatched(database)
    assert runner(database).run(first)
    assert runner(database).run(second)
    steering(database).cancel(job)

    again = retried(database, job)
    missed = [1002, 1005, 1007, 1008, 1009]
    assert list(outcomes(database, again.id)) == missed
    assert (again.parent_id, again.state, again.reason, again.priority) == (job, JobState.QUEUED, "once more", 2)
    heal(database)
    work(database)
    assert state(database, again.id) == "succeeded"
    assert set(outcomes(database, again.id).values()) == {Outcome.CHANGED}
    assert archived(database, again.id)["chapter_progress"] == [(user, 1001) for user in missed]


def test_a_retry_resets_the_frozen_content_whatever_became_of_roles_and_courses(small: Database) -> None:
    holders_of_31 = ResetRequest(
        kind=Kind.TRAINING, content=ContentSelection(content_roles=(31,)), cutoff=datetime(2027, 3, 1, tzinfo=UTC)
    )
    job = submit(small, holders_of_31)
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.user_content_roles))
        connection.execute(delete(tables.content_role_courses))
        connection.execute(insert(tables.content_role_courses), [{"content_role_id": 31, "course_id": 102}])
        connection.execute(delete(tables.course_chapters).where(tables.course_chapters.c.chapter_id == 1002))
    again = retried(small, job)
    assert again.cutoff == job_of(small, job).cutoff == datetime(2027, 3, 1, tzinfo=UTC)
    assert list(outcomes(small, again.id)) == [11, 12]
    work(small)
    # Of course 101, completed by ada alone before the cut-off, with chapters 1001 and 1002 as they were.
    assert archived(small, again.id) == {
        "attempts": [1, 2, 3],
        "chapter_progress": [(11, 1001), (11, 1002)],
        "course_progress": [(11, 101), (11, 102)],
    }


def test_a_retry_goes_at_the_pace_that_the_job_had_last(small: Database) -> None:
    job = submit(small, chunk_size=2, max_rate=3)
    steering(small).set_pace(job, max_rate=1.5, priority=0)
    steering(small).cancel(job)
    again = retried(small, job)
    assert (again.max_rate, again.priority, again.chunk_size) == (1.5, 0, 2)


def test_a_retry_leaves_out_users_who_are_gone(small: Database, job: int) -> None:
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.users).where(tables.users.c.id == 14))
    assert list(outcomes(small, retried(small, job).id)) == [user for user in AT_NORTH if user != 14]


def test_a_retry_leaves_out_users_who_have_left_the_location(small: Database, job: int) -> None:
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 12).values(location_id=2))
    assert list(outcomes(small, retried(small, job).id)) == [user for user in AT_NORTH if user != 12]


def test_a_retry_asked_for_by_four_at_once_and_once_more_later_is_one_job(
    small: Database, database_url: str, job: int
) -> None:
    steering(small).cancel(job)

    def ask(_: int) -> tuple[int, bool]:
        mine = Database(database_url)
        try:
            again, new = steering(mine).retry(job, RETRY)
            return again.id, new
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert {again for again, _ in answers} == {job + 1}
    assert sorted(new for _, new in answers) == [False, False, False, True]
    work(small)
    later, new = steering(small).retry(job, RETRY)
    assert (later.id, later.state, new) == (job + 1, JobState.SUCCEEDED, False)


def test_a_retry_with_nobody_left_is_refused(small: Database) -> None:
    job = submit(small, of_users([14]))
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.users).where(tables.users.c.id == 14))
    with pytest.raises(Conflict, match=f"job {job} left nobody out who is still there"):
        retried(small, job)


def test_who_became_a_learner_neither_sees_nor_steers_the_jobs_that_it_submitted_about_others(
    small: Database, job: int
) -> None:
    set_job(small, job, actor_id=11, actor_login="ada")
    demoted = Administration(small, "ada")
    for call in (demoted.status, steering(small, "ada").cancel, lambda job: list(demoted.report(job))):
        with pytest.raises(NotFound):
            call(job)
    assert demoted.jobs() == []


@pytest.mark.parametrize("before", [*UNFINISHED, "pausing", "paused", "cancelling"])
def test_a_job_that_has_not_ended_cannot_be_retried(small: Database, job: int, before: str) -> None:
    put(small, job, before)
    with pytest.raises(Conflict, match=f"job {job} is {before}; cancel it, or wait for its end, before a retry"):
        retried(small, job)


def test_a_job_that_treated_every_user_cannot_be_retried(small: Database, job: int) -> None:
    work(small)
    with pytest.raises(Conflict, match=f"job {job} left nobody out who is still there; there is nobody to retry"):
        retried(small, job)
