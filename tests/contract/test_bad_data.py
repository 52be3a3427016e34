"""One user's bad data on both databases: that user is found and fails alone, whatever the error is called."""

import pytest

from jobs.database import Database
from jobs.model import JobState, Outcome, Rows
from jobs.progress import Totals
from jobs.services import Administration
from tests.interruptions import heal, poison, stumbling
from tests.small import archived, chunks_of, dump, fill_crowd, job_of, of_users, submit, work
from tests.steering import dispatched, runner

EACH = Rows(attempts_erased=2, chapters_reset=1, courses_reset=1)
"""What a reset does to each learner of the crowd."""


def totals(database: Database, job_id: int) -> Totals:
    return Administration(database, "root").status(job_id).totals


def outcomes(database: Database, job_id: int) -> dict[int, tuple[Outcome | None, str | None]]:
    return {line.user_id: (line.outcome, line.error) for line in Administration(database, "root").report(job_id)}


@pytest.mark.parametrize("cursed", [[1007], [1001], [1020], [1003, 1004, 1017]])
def test_users_whose_data_fails_are_found_and_the_others_of_their_chunk_commit(
    database: Database, cursed: list[int]
) -> None:
    crowd = fill_crowd(database, 20)
    poison(database, cursed)
    job = submit(database, of_users(crowd), chunk_size=20)
    assert len(work(database)) == 1

    healthy = [user for user in crowd if user not in cursed]
    ended = job_of(database, job)
    assert ended.state is JobState.COMPLETED_WITH_FAILURES
    assert ended.state_reason == f"{len(cursed)} of 20 users failed"
    sums = totals(database, job)
    assert (sums.changed, sums.unchanged, sums.failed) == (len(healthy), 0, len(cursed))
    assert sums.rows == sum([EACH] * len(healthy), Rows())
    assert outcomes(database, job) == dict.fromkeys(healthy, (Outcome.CHANGED, None)) | dict.fromkeys(
        cursed, (Outcome.FAILED, "the row is cursed")
    )
    # A user is done wholly or not at all: nothing of the failed ones is archived or changed.
    assert archived(database, job)["course_progress"] == [(user, 101) for user in healthy]
    assert archived(database, job)["attempts"] == [2 * user + half for user in healthy for half in (0, 1)]
    kept = [row["user_id"] for row in dump(database)["course_progress"] if row["status"] == "completed"]
    assert kept == cursed


def test_an_error_that_is_no_database_s_is_that_of_its_user_too(database: Database) -> None:
    crowd = fill_crowd(database, 20)
    job = submit(database, of_users(crowd), chunk_size=20)
    with stumbling(database, [1003, 1017]):
        assert len(work(database)) == 1

    healthy = [user for user in crowd if user not in (1003, 1017)]
    assert job_of(database, job).state is JobState.COMPLETED_WITH_FAILURES
    assert outcomes(database, job) == dict.fromkeys(healthy, (Outcome.CHANGED, None)) | dict.fromkeys(
        [1003, 1017], (Outcome.FAILED, "KeyError: 'no such column'")
    )
    assert archived(database, job)["course_progress"] == [(user, 101) for user in healthy]


def test_an_error_that_the_driver_calls_the_database_s_own_trouble_may_be_that_of_a_user(database: Database) -> None:
    crowd = fill_crowd(database, 20)
    poison(database, [1003, 1017], code="54001", expression="json('bad')")  # stack depth exceeded; malformed JSON
    job = submit(database, of_users(crowd), chunk_size=20)
    assert len(work(database)) == 1

    failed = [user for user, (outcome, _) in outcomes(database, job).items() if outcome is Outcome.FAILED]
    assert failed == [1003, 1017]
    assert totals(database, job).changed == 18


def test_a_user_whose_data_makes_sqlite_end_the_whole_transaction_is_found_by_halves(sqlite_database_url: str) -> None:
    database = Database(sqlite_database_url)
    crowd = fill_crowd(database, 8)
    poison(database, [1003], expression="RAISE(ROLLBACK, 'the row is cursed')")
    job = submit(database, of_users(crowd), chunk_size=8)
    work(database)

    others = [user for user in crowd if user != 1003]
    assert [user for user, (outcome, _) in outcomes(database, job).items() if outcome is Outcome.FAILED] == [1003]
    assert totals(database, job).rows == sum([EACH] * 7, Rows())
    assert archived(database, job)["course_progress"] == [(user, 101) for user in others]
    assert job_of(database, job).state is JobState.COMPLETED_WITH_FAILURES
    database.close()


def test_a_job_all_of_whose_users_fail_has_failed(database: Database) -> None:
    crowd = fill_crowd(database, 5)
    records = dump(database)["course_progress"]
    poison(database, crowd)
    job = submit(database, of_users(crowd), chunk_size=2)
    work(database)
    ended = job_of(database, job)
    assert (ended.state, ended.state_reason) == (JobState.FAILED, "5 of 5 users failed")
    assert totals(database, job).rows == Rows()
    assert dump(database)["course_progress"] == records


def test_a_chunk_that_conflicts_again_and_again_is_handed_back_and_fails_nobody(postgres: Database) -> None:
    crowd = fill_crowd(postgres, 5)
    poison(postgres, [1003], code="40001")
    job = submit(postgres, of_users(crowd))
    (chunk,) = dispatched(postgres)
    assert not runner(postgres).run(chunk)
    (row,) = chunks_of(postgres)
    assert (row["state"], row["retries"], row["published_at"]) == ("dispatched", 1, None)
    assert archived(postgres, job)["attempts"] == []

    heal(postgres)
    assert runner(postgres).run(chunk)
    assert totals(postgres, job).changed == 5


def test_a_chunk_that_the_database_itself_ends_is_handed_back_and_fails_nobody(postgres: Database) -> None:
    crowd = fill_crowd(postgres, 5)
    poison(postgres, [1003], code="57014")
    job = submit(postgres, of_users(crowd))
    (chunk,) = dispatched(postgres)
    assert not runner(postgres).run(chunk)
    assert [(row["state"], row["retries"]) for row in chunks_of(postgres)] == [("dispatched", 1)]

    heal(postgres)
    assert runner(postgres).run(chunk)
    assert totals(postgres, job).changed == 5
