"""The use cases on both databases: who sees what, where an administrator stands, report and status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jobs import dispatch
from jobs.database import Database
from jobs.errors import InputRefused, NotFound, NotPermitted
from jobs.execution import ChunkRunner
from jobs.model import JobState, Kind, Outcome, Rows
from jobs.records import tables
from jobs.scope import JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.settings import Settings
from tests.small import (
    AT_NORTH,
    TRAINING,
    Broker,
    archived,
    dump,
    job_of,
    of_users,
    submit,
    work,
)

OPTIONS = JobOptions(reason="a new year")
EVERYBODY = UserSelection(all_users=True)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


# Who sees what.


@pytest.fixture
def jobs(small: Database) -> dict[str, int]:
    """A job of each kind of actor, by what it is about."""
    south = ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=TRAINING.content, location=2)
    everywhere = ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=TRAINING.content, location="all")
    return {
        "root at North": submit(small),
        "root at South": submit(small, south),
        "root everywhere": submit(small, everywhere),
        "the administrator of North": submit(small, login="north.admin"),
        "the administrator of South": submit(small, login="south.admin"),
        "boris": Administration(small, "boris").reset_own_in_progress().id,
    }


SEEN = {
    "root": {
        "root at North",
        "root at South",
        "root everywhere",
        "the administrator of North",
        "the administrator of South",
        "boris",
    },
    "north.admin": {"root at North", "the administrator of North", "boris"},
    "south.admin": {"root at South", "the administrator of South"},
    "boris": {"boris"},
    "ada": set(),
}


@pytest.mark.parametrize("login", SEEN)
def test_everybody_sees_the_jobs_of_its_location_and_a_learner_its_own(
    small: Database, jobs: dict[str, int], login: str
) -> None:
    administration = Administration(small, login)
    seen = {jobs[name] for name in SEEN[login]}
    assert [status.job.id for status in administration.jobs()] == sorted(seen, reverse=True)
    for job in jobs.values():
        if job in seen:
            assert administration.status(job).job.id == job
            assert list(administration.report(job))
            continue
        with pytest.raises(NotFound, match=f"no job has the id {job};"):
            administration.status(job)
        with pytest.raises(NotFound):
            list(administration.report(job))


def test_jobs_are_listed_newest_first_by_state_by_actor_and_so_many(small: Database, jobs: dict[str, int]) -> None:
    administration = Administration(small, "root")
    work(small)
    late = submit(small)

    def listed(**narrowed: Any) -> list[int]:  # noqa: ANN401
        return [status.job.id for status in administration.jobs(**narrowed)]

    assert listed(states=(JobState.QUEUED,)) == [late]
    assert listed(states=(JobState.SUCCEEDED,)) == sorted(jobs.values(), reverse=True)
    assert listed(limit=1) == [late]
    assert listed(mine=True) == [late, jobs["root everywhere"], jobs["root at South"], jobs["root at North"]]


@pytest.mark.parametrize("job_id", [0, -1, 999, 2**63, 10**30])
def test_a_job_that_is_not_there_is_not_found_whatever_its_id(small: Database, job_id: int) -> None:
    with pytest.raises(NotFound, match=f"no job has the id {job_id};"):
        Administration(small, "root").status(job_id)


def test_a_learner_resets_its_own_chapters_in_progress_and_nothing_else(small: Database) -> None:
    job = Administration(small, "boris").reset_own_in_progress()
    work(small)
    assert (job.kind, job.location_id, job.users_total) == (Kind.IN_PROGRESS, 1, 1)
    assert archived(small, job.id) == {
        "attempts": [],
        "chapter_progress": [(12, 1001)],
        "course_progress": [(12, 101)],
    }
    for call in (Administration(small, "boris").preview, lambda r: Administration(small, "boris").submit(r, OPTIONS)):
        with pytest.raises(NotPermitted, match="me reset-in-progress"):
            call(of_users([12]))


def test_nobody_unknown_acts(small: Database) -> None:
    with pytest.raises(NotFound, match="no user has the login 'nobody'"):
        Administration(small, "nobody").jobs()


# Where an administrator stands.


def test_a_super_user_acts_where_it_went_until_it_goes_elsewhere(small: Database) -> None:
    assert Administration(small, "root").current_location().name == "North"
    assert Administration(small, "root").use_location(2).name == "South"
    assert Administration(small, "root").current_location().id == 2
    assert Administration(small, "root").preview(TRAINING).user_ids == (3, 21)
    assert job_of(small, submit(small)).location_id == 2

    Administration(small, "root").use_location(1)
    assert Administration(small, "root").preview(TRAINING).user_ids == tuple(AT_NORTH)


def test_an_administrator_stays_at_its_own_location(small: Database) -> None:
    administration = Administration(small, "south.admin")
    assert [location.id for location in administration.locations()] == [2]
    assert administration.use_location(2).id == 2
    with pytest.raises(NotPermitted, match="location 1 is not yours"):
        administration.use_location(1)
    with pytest.raises(NotPermitted, match="location 1 is not yours"):
        administration.preview(ResetRequest(kind=Kind.TRAINING, users=EVERYBODY, content=TRAINING.content, location=1))
    assert administration.current_location().id == 2
    assert administration.preview(TRAINING).user_ids == (3, 21)


def test_an_administrator_who_was_moved_acts_at_its_new_location(small: Database) -> None:
    Administration(small, "south.admin").use_location(2)
    with small.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 3).values(location_id=1))
    assert Administration(small, "south.admin").preview(TRAINING).user_ids == (1, 2, 3, 11, 12, 13, 14)


def test_a_location_that_is_not_there_is_not_found(small: Database) -> None:
    for location in (9, 0, 2**64):
        with pytest.raises(NotFound, match=f"no location has the id {location};"):
            Administration(small, "root").use_location(location)
    assert dump(small)["standings"] == []


def test_users_elsewhere_are_refused_and_their_place_told_only_to_whoever_may_know_it(small: Database) -> None:
    with pytest.raises(InputRefused, match=r"21 \(South\)"):
        Administration(small, "root").preview(of_users([11, 21, 99]))
    with pytest.raises(InputRefused) as refusal:
        Administration(small, "north.admin").preview(of_users([11, 21, 99]))
    assert "South" not in refusal.value.message
    assert "21" in refusal.value.message
    assert "99" in refusal.value.message


# The report and the status.


def test_a_report_gives_every_user_in_order_and_tells_who_is_not_reached(small: Database) -> None:
    job = submit(small, chunk_size=2)
    broker = Broker()
    dispatch.fill(small, Settings(), broker)
    administration = Administration(small, "root")
    assert [line.outcome for line in administration.report(job)] == [None] * 6

    runner = ChunkRunner(small, "worker", Settings())
    _, second, third = broker.messages
    assert runner.run(third)
    assert [line.outcome for line in administration.report(job)] == [None] * 4 + [Outcome.UNCHANGED] * 2
    assert runner.run(second)
    lines = list(administration.report(job))
    assert [(line.user_id, line.login) for line in lines] == [
        (1, "root"),
        (2, "north.admin"),
        (11, "ada"),
        (12, "boris"),
        (13, "chloe"),
        (14, "deniz"),
    ]
    assert [line.outcome for line in lines] == [
        None,
        None,
        Outcome.CHANGED,
        Outcome.CHANGED,
        Outcome.UNCHANGED,
        Outcome.UNCHANGED,
    ]
    assert lines[2].rows == Rows(attempts_erased=3, chapters_reset=2, courses_reset=2)
    assert lines[0].rows == Rows()


def test_a_status_counts_what_is_done_and_what_is_in_flight(small: Database) -> None:
    job = submit(small, chunk_size=2)
    broker = Broker()
    dispatch.fill(small, Settings(window=2), broker)
    ChunkRunner(small, "worker", Settings()).run(broker.messages[1])
    status = Administration(small, "root").status(job)
    assert (status.job.state, status.job.users_total, status.totals.done) == (JobState.RUNNING, 6, 2)
    assert (status.totals.changed, status.totals.chunks_done, status.totals.chunks_in_flight) == (2, 1, 1)
    assert status.location is not None
    assert status.location.name == "North"


# Not before.


def test_a_job_for_later_holds_and_says_until_when(small: Database) -> None:
    job = job_of(small, submit(small, not_before=TOMORROW))
    assert job.state is JobState.HOLDING
    assert job.state_reason == f"not before {TOMORROW.isoformat().replace('+00:00', 'Z')}"
    assert job.not_before == TOMORROW
    before = dump(small)
    assert work(small) == []
    assert dump(small) == before
    assert [line.user_id for line in Administration(small, "root").report(job.id)] == AT_NORTH


def test_a_job_whose_time_has_come_is_queued_at_once(small: Database) -> None:
    assert job_of(small, submit(small, not_before=datetime(2020, 1, 1, tzinfo=UTC))).state is JobState.QUEUED
