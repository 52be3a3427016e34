"""`job verify` on both databases: clean after a job, and the name of every user who is not as reported."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, update

from jobs.database import Database, read_now
from jobs.errors import NotFound
from jobs.model import Kind
from jobs.records import tables
from jobs.records.tables import ARCHIVE
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.steering import Steering
from jobs.store.tables import chunks, jobs
from tests.interruptions import poison
from tests.small import BEGAN, ENDED, TRAINING, fill_crowd, of_users, submit, work

EVERYBODY = UserSelection(all_users=True)
Found = list[tuple[int | None, str, bool]]


@pytest.fixture
def job(small: Database) -> int:
    """A job that is over: [203] of course 101 at location 1."""
    job = submit(small)
    work(small)
    return job


def verified(database: Database, job: int) -> Found:
    """Verify a job: (user, problem, since)."""
    return [(found.user_id, found.problem, found.since) for found in Administration(database, "root").verify(job)]


def put(database: Database, table: Table, values: dict[str, Any], **where: int) -> None:
    statement = update(table).values(values)
    for name, value in where.items():
        statement = statement.where(table.c[name] == value)
    with database.write() as connection:
        assert connection.execute(statement).rowcount == 1


def attempt(database: Database, number: int, user: int, started: datetime, finished: datetime | None) -> None:
    row = {"id": number, "user_id": user, "chapter_id": 1001, "started_at": started, "finished_at": finished}
    with database.write() as connection:
        connection.execute(insert(tables.attempts), [row | {"score": None, "passed": None}])


def now(database: Database) -> datetime:
    with database.read() as connection:
        return read_now(connection)


# Clean.


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(TRAINING, id="training"),
        pytest.param(
            ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=ContentSelection(chapters=(1002,))),
            id="a chapter",
        ),
        pytest.param(
            ResetRequest(
                kind=Kind.TRAINING,
                users=EVERYBODY,
                content=ContentSelection(all_content=True),
                cutoff=ENDED + timedelta(days=1),
            ),
            id="completed before",
        ),
        pytest.param(
            ResetRequest(kind=Kind.IN_PROGRESS, users=EVERYBODY, content=ContentSelection(all_content=True)),
            id="in progress",
        ),
        pytest.param(
            ResetRequest(
                kind=Kind.IN_PROGRESS,
                users=EVERYBODY,
                content=ContentSelection(all_chapters=True),
                cutoff=ENDED + timedelta(days=1),
            ),
            id="idle since",
        ),
    ],
)
def test_a_job_that_is_over_is_as_it_reports(small: Database, request_: ResetRequest) -> None:
    job = submit(small, request_, chunk_size=2)
    assert verified(small, job) == []
    work(small)
    assert verified(small, job) == []


def test_failed_and_never_reached_users_have_nothing_to_be_as_reported(database: Database) -> None:
    job = submit(database, of_users(fill_crowd(database, 6)), chunk_size=6)
    poison(database, [1003, 1006])
    work(database)
    assert verified(database, job) == []
    again, _ = Steering(database, "root").retry(job, JobOptions(reason="once more"))
    Steering(database, "root").cancel(again.id)
    assert verified(database, again.id) == []


def test_a_later_job_on_the_same_users_makes_no_fault_of_an_earlier_one(small: Database, job: int) -> None:
    later = submit(small, ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=ContentSelection(all_content=True)))
    work(small)
    assert (verified(small, job), verified(small, later)) == ([], [])


# Not as reported.


def test_a_user_whose_archived_attempt_was_deleted_is_named(small: Database, job: int) -> None:
    twin = ARCHIVE[tables.attempts]
    with small.write() as connection:
        connection.execute(delete(twin).where(twin.c.id == 2))
    told = "the archive holds 2 attempts, 2 chapters, 2 courses, reported are 3 attempts, 2 chapters, 2 courses"
    assert verified(small, job) == [(11, told, False)]


def test_users_to_whose_archive_a_row_was_added_are_named_whether_they_are_targets_or_not(
    small: Database, job: int
) -> None:
    row = {"job_id": job, "course_id": 102, "status": "completed"}
    row |= {"started_at": BEGAN, "completed_at": ENDED, "last_activity_at": ENDED}
    with small.write() as connection:
        connection.execute(insert(ARCHIVE[tables.course_progress]), [row | {"user_id": user} for user in (14, 21)])
    one = "0 attempts, 0 chapters, 1 courses"
    assert verified(small, job) == [
        (14, f"the archive holds {one}, reported are 0 attempts, 0 chapters, 0 courses", False),
        (21, f"is no target of the job, but the archive holds {one}", False),
    ]


@pytest.mark.parametrize(
    ("table", "where", "told"),
    [
        (tables.course_progress, {"user_id": 12, "course_id": 101}, "0 attempts, 0 chapters, 1 courses"),
        (tables.chapter_progress, {"user_id": 11, "chapter_id": 1002}, "0 attempts, 1 chapters, 0 courses"),
    ],
)
def test_a_user_whose_record_was_thrown_back_by_hand_is_named(
    small: Database, job: int, table: Table, where: dict[str, int], told: str
) -> None:
    put(small, table, {"status": "completed", "completed_at": ENDED}, **where)
    assert verified(small, job) == [(where["user_id"], f"{told} are there to be reset", False)]


def test_users_whose_outcomes_are_gone_are_named_although_nothing_else_tells_of_them(small: Database) -> None:
    job = submit(small, chunk_size=2)
    work(small)
    with small.write() as connection:
        gone = delete(chunks).where(chunks.c.first_ordinal == 4)
        assert connection.execute(gone).rowcount == 1
    named = [user for user, problem, _ in verified(small, job) if problem == "has no outcome, but the job is succeeded"]
    assert named == [13, 14]


def test_sums_that_are_not_those_of_the_outcomes_are_told_of_the_job(small: Database, job: int) -> None:
    with small.write() as connection:
        connection.execute(update(chunks).values(attempts_erased=14, users_changed=3, users_unchanged=3))
    sums = "3 changed, 3 unchanged, 0 failed, 14 attempts, 3 chapters, 3 courses"
    outcomes = "2 changed, 4 unchanged, 0 failed, 4 attempts, 3 chapters, 3 courses"
    assert verified(small, job) == [(None, f"its sums say {sums}, its users' outcomes {outcomes}", False)]


def test_a_user_whose_erased_attempt_is_there_again_is_named_with_it(small: Database, job: int) -> None:
    attempt(small, 4, 12, BEGAN, None)
    assert verified(small, job) == [
        (12, "1 attempts, 0 chapters, 0 courses are there to be reset", False),
        (12, "attempt 4 was erased and is there again", False),
    ]


def test_an_erased_attempt_that_is_there_again_is_a_fault_whatever_its_user_did_since(
    small: Database, job: int
) -> None:
    attempt(small, 4, 12, now(small), None)
    assert verified(small, job)[-1] == (12, "attempt 4 was erased and is there again", False)


# What learners did since.


def test_learners_who_were_active_since_are_named_and_are_no_fault(small: Database, job: int) -> None:
    attempt(small, 901, 11, now(small), None)
    attempt(small, 902, 13, BEGAN, now(small))
    active = {"status": "in_progress", "started_at": now(small), "last_activity_at": now(small)}
    put(small, tables.chapter_progress, active, user_id=12, chapter_id=1001)
    assert verified(small, job) == [
        (11, "1 attempts, 0 chapters, 0 courses are there to be reset", True),
        (12, "0 attempts, 1 chapters, 0 courses are there to be reset", True),
        (13, "1 attempts, 0 chapters, 0 courses are there to be reset", True),
    ]


def test_what_others_did_since_excuses_nobody(small: Database, job: int) -> None:
    attempt(small, 901, 13, now(small), None)
    put(small, tables.course_progress, {"status": "completed"}, user_id=11, course_id=101)
    assert [(user, since) for user, _, since in verified(small, job)] == [(11, False), (13, True)]


def test_what_a_user_did_before_its_own_chunk_excuses_nothing(small: Database) -> None:
    job = submit(small, chunk_size=1)
    work(small)
    with small.write() as connection:
        early = read_now(connection) - timedelta(days=2)
        connection.execute(update(jobs).values(started_at=early))
    active = {"status": "completed", "last_activity_at": early + timedelta(days=1)}
    put(small, tables.chapter_progress, active, user_id=12, chapter_id=1001)
    assert [(user, since) for user, _, since in verified(small, job)] == [(12, False)]


# Who may.


@pytest.mark.parametrize("login", ["south.admin", "ada"])
def test_nobody_verifies_a_job_that_does_not_exist_for_them(small: Database, job: int, login: str) -> None:
    with pytest.raises(NotFound):
        list(Administration(small, login).verify(job))
