"""The use cases on both databases: what is previewed is what happens, and what is frozen stays frozen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from jobs.database import Database
from jobs.errors import Conflict, InputRefused
from jobs.model import Content, JobState, Kind, Outcome, Rows
from jobs.records import tables
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.store import job_rows
from tests.small import (
    ARCHIVED,
    AT_NORTH,
    BEGAN,
    ENDED,
    TRAINING,
    archived,
    dump,
    fill_crowd,
    job_of,
    of_users,
    submit,
    work,
)

OPTIONS = JobOptions(reason="a new year")
EVERYBODY = UserSelection(all_users=True)


def training(users: UserSelection = EVERYBODY, cutoff: Any = None, **content: Any) -> ResetRequest:  # noqa: ANN401
    return ResetRequest(kind=Kind.TRAINING, users=users, content=ContentSelection(**content), cutoff=cutoff)


def in_progress(users: UserSelection = EVERYBODY, cutoff: Any = None, **content: Any) -> ResetRequest:  # noqa: ANN401
    return ResetRequest(kind=Kind.IN_PROGRESS, users=users, content=ContentSelection(**content), cutoff=cutoff)


def targets(database: Database, job_id: int) -> list[int]:
    return [line.user_id for line in Administration(database, "root").report(job_id)]


def content(database: Database, job_id: int) -> Content:
    with database.read() as connection:
        return job_rows.load_content(connection, job_id)


# The preview.

REQUESTS = [
    pytest.param(training(courses=(101,)), (6, 2), (4, 3, 3), id="a course of everybody"),
    pytest.param(training(UserSelection(), content_roles=(31,)), (2, 2), (4, 3, 3), id="a role of its holders"),
    pytest.param(training(UserSelection(), content_roles=(31, 32)), (3, 3), (5, 4, 4), id="two roles of their holders"),
    pytest.param(training(categories=(41,)), (6, 3), (5, 4, 4), id="a category"),
    pytest.param(training(UserSelection(logins=("ada",)), chapters=(1002,)), (1, 1), (1, 1, 2), id="a chapter of one"),
    pytest.param(
        training(UserSelection(all_users=True, excluded_logins=("ada",)), all_content=True),
        (5, 2),
        (2, 2, 2),
        id="everything of all but one",
    ),
    pytest.param(training(cutoff=ENDED + timedelta(1), courses=(101,)), (6, 1), (3, 2, 2), id="completed before"),
    pytest.param(training(cutoff=ENDED, courses=(101,)), (6, 0), (0, 0, 0), id="nothing completed before"),
    pytest.param(in_progress(courses=(101,)), (6, 1), (0, 1, 1), id="a course in progress"),
    pytest.param(in_progress(all_chapters=True), (6, 2), (0, 2, 2), id="all chapters in progress"),
    pytest.param(in_progress(all_content=True), (6, 3), (0, 2, 3), id="everything in progress"),
    pytest.param(in_progress(cutoff=ENDED, all_content=True), (6, 0), (0, 0, 0), id="nothing idle since"),
]


@pytest.mark.parametrize(("request_", "users", "rows"), REQUESTS)
def test_a_preview_counts_what_the_job_then_reports_and_both_are_right(
    small: Database, request_: ResetRequest, users: tuple[int, int], rows: tuple[int, int, int]
) -> None:
    expected = Rows(attempts_erased=rows[0], chapters_reset=rows[1], courses_reset=rows[2])
    preview = Administration(small, "root").preview(request_)
    assert ((preview.total, preview.changed), preview.rows) == (users, expected)
    assert preview.unchanged == users[0] - users[1]

    job = submit(small, request_, chunk_size=2)
    work(small)
    status = Administration(small, "root").status(job)
    assert status.job.state is JobState.SUCCEEDED
    assert ((status.totals.done, status.totals.changed), status.totals.rows) == (users, expected)
    lines = list(Administration(small, "root").report(job))
    assert tuple(line.user_id for line in lines) == preview.user_ids
    assert sum((line.rows for line in lines), Rows()) == expected
    assert sum(line.outcome is Outcome.CHANGED for line in lines) == users[1]


@pytest.mark.parametrize(("request_", "users", "rows"), REQUESTS)
def test_a_preview_writes_nothing(
    small: Database, request_: ResetRequest, users: tuple[int, int], rows: tuple[int, int, int]
) -> None:
    assert len(users) + len(rows) == 5
    before = dump(small)
    Administration(small, "root").preview(request_)
    assert dump(small) == before


def test_a_preview_says_that_it_is_about_several_roles_or_all_locations(small: Database) -> None:
    everywhere = ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=TRAINING.content, location="all")
    preview = Administration(small, "root").preview(everywhere)
    assert (preview.location, preview.total) == (None, 8)
    assert preview.notes == ("This is about the users of ALL locations.",)
    (note,) = Administration(small, "root").preview(training(UserSelection(), content_roles=(31, 32))).notes
    assert "the users who hold any of them and the content of all of them" in note
    assert Administration(small, "root").preview(TRAINING).notes == ()


# What is frozen.


def test_users_and_content_are_frozen_in_the_order_of_their_ids(small: Database) -> None:
    job = submit(small)
    assert targets(small, job) == AT_NORTH
    frozen = content(small, job)
    assert (frozen.courses, frozen.chapters, frozen.direct) == ({101}, {1001, 1002}, set())
    assert frozen.structure == {(101, 1001), (101, 1002), (102, 1002), (102, 1003)}
    assert job_of(small, job).users_total == 6


def test_what_is_edited_after_a_submit_changes_nothing_about_the_job(small: Database) -> None:
    request = training(UserSelection(), content_roles=(31,))
    job = submit(small, request)
    with small.write() as connection:
        connection.execute(delete(tables.user_content_roles))
        connection.execute(insert(tables.user_content_roles), [{"user_id": 13, "content_role_id": 31}])
        connection.execute(delete(tables.content_role_courses))
        connection.execute(insert(tables.content_role_courses), [{"content_role_id": 31, "course_id": 102}])
        connection.execute(update(tables.users).where(tables.users.c.id == 11).values(location_id=2))
        connection.execute(delete(tables.course_chapters))
        connection.execute(insert(tables.course_chapters), [{"course_id": 101, "chapter_id": 1003, "position": 0}])
    work(small)
    assert targets(small, job) == [11, 12]
    assert archived(small, job) == ARCHIVED
    assert Administration(small, "root").status(job).totals.rows == Rows(
        attempts_erased=4, chapters_reset=3, courses_reset=3
    )


def test_records_are_reset_as_they_are_when_the_job_runs(small: Database) -> None:
    job = submit(small)
    with small.write() as connection:
        connection.execute(delete(tables.attempts).where(tables.attempts.c.id == 1))
    work(small)
    assert archived(small, job)["attempts"] == [2, 3, 4]


def test_an_age_becomes_a_moment_when_the_job_is_submitted(small: Database) -> None:
    age = timedelta(days=3)
    job = submit(small, in_progress(cutoff=age, courses=(101,)))
    recorded = job_of(small, job)
    assert recorded.cutoff is not None
    assert abs(recorded.created_at - age - recorded.cutoff) < timedelta(seconds=10)

    # On the cut-off is not before it; a later run counts from the same moment.
    with small.write() as connection:
        progress = tables.chapter_progress
        connection.execute(update(progress).where(progress.c.user_id == 12).values(last_activity_at=recorded.cutoff))
        connection.execute(
            insert(progress),
            {
                "user_id": 13,
                "chapter_id": 1001,
                "status": "in_progress",
                "position_seconds": 5,
                "started_at": BEGAN,
                "last_activity_at": recorded.cutoff - timedelta(microseconds=1),
            },
        )
    work(small)
    assert job_of(small, job).cutoff == recorded.cutoff
    assert archived(small, job)["chapter_progress"] == [(13, 1001)]


def test_users_who_changed_since_the_preview_are_not_reset_unseen(small: Database) -> None:
    administration = Administration(small, "root")
    preview = administration.preview(TRAINING)
    with small.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 14).values(location_id=2))
    before = dump(small)
    with pytest.raises(Conflict, match="the users changed since the preview"):
        administration.submit(TRAINING, OPTIONS, expected_users=preview.users_digest)
    assert dump(small) == before
    job, new = administration.submit(TRAINING, OPTIONS, expected_users=administration.preview(TRAINING).users_digest)
    assert (job.users_total, new) == (5, True)


def test_a_refused_submit_records_nothing(small: Database) -> None:
    before = dump(small)
    for request in (training(courses=(101, 777, 888)), of_users([11, 666]), of_users([21])):
        with pytest.raises(InputRefused):
            submit(small, request)
    with pytest.raises(InputRefused, match="the reason is blank"):
        submit(small, reason=" ")
    assert dump(small) == before


# The same request twice.


def test_the_same_key_with_the_same_words_gives_the_first_job(small: Database) -> None:
    administration = Administration(small, "root")
    options = JobOptions(reason="a new year", idempotency_key="2026")
    first, new = administration.submit(of_users([11, 12]), options)
    again, new_again = administration.submit(of_users([12, 11, 11]), options)
    assert (new, new_again, again.id) == (True, False, first.id)
    work(small)
    ended, new_at_last = administration.submit(of_users([11, 12]), options)
    assert (ended.id, ended.state, new_at_last) == (first.id, JobState.SUCCEEDED, False)
    assert len(administration.jobs()) == 1


def test_the_same_key_with_other_words_is_refused_with_the_first_job_s_id(small: Database) -> None:
    administration = Administration(small, "root")
    first, _ = administration.submit(of_users([11]), JobOptions(reason="a new year", idempotency_key="2026"))
    for request, reason in ((of_users([12]), "a new year"), (of_users([11]), "another reason")):
        with pytest.raises(Conflict, match=f"job {first.id} with other words") as refusal:
            administration.submit(request, JobOptions(reason=reason, idempotency_key="2026"))
        assert refusal.value.data == {"job": first.id}
    assert len(administration.jobs()) == 1


def test_two_actors_may_use_the_same_key(small: Database) -> None:
    options = JobOptions(reason="a new year", idempotency_key="2026")
    jobs = [Administration(small, login).submit(of_users([11]), options) for login in ("root", "north.admin")]
    assert [new for _, new in jobs] == [True, True]


def test_without_a_key_the_same_words_are_another_job(small: Database) -> None:
    assert submit(small) != submit(small)


def test_the_same_key_from_eight_at_once_gives_one_job(database: Database, database_url: str) -> None:
    crowd = fill_crowd(database, 50)
    options = JobOptions(reason="a new year", idempotency_key="2026")
    databases = [Database(database_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda own: Administration(own, "root").submit(of_users(crowd), options), databases))
    for own in databases:
        own.close()
    assert len({job.id for job, _ in jobs}) == 1
    assert sum(new for _, new in jobs) == 1
    after = dump(database)
    assert (len(after["jobs"]), len(after["job_targets"])) == (1, 50)
