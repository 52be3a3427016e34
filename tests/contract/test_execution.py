"""Running chunks on both databases: exactly once whatever comes twice, and one user's bad data is that user's."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs import dispatch
from jobs.database import Database
from jobs.execution import ChunkRunner
from jobs.model import JobState, Rows
from jobs.progress import Totals
from jobs.scope import ContentSelection, ResetRequest
from jobs.services import Administration
from jobs.settings import Settings
from jobs.store import lapsed_rows
from tests.interruptions import Died, Fault, Mortal, Sleeper
from tests.small import (
    ARCHIVED,
    AT_NORTH,
    TRAINING,
    Broker,
    archived,
    chunks_of,
    dump,
    fill_crowd,
    fill_small_system,
    job_of,
    of_users,
    ranges_of,
    submit,
    work,
)

SETTINGS = Settings(window=100)
EACH = Rows(attempts_erased=2, chapters_reset=1, courses_reset=1)
"""What a reset does to each learner of the crowd."""


def dispatched(database: Database) -> list[int]:
    broker = Broker()
    dispatch.fill(database, SETTINGS, broker)
    return broker.messages


def runner(database: Database, worker_id: str = "worker") -> ChunkRunner:
    return ChunkRunner(database, worker_id, SETTINGS)


def totals(database: Database, job_id: int) -> Totals:
    return Administration(database, "root").status(job_id).totals


# One chunk.


def test_a_job_becomes_running_with_its_first_chunk_and_succeeded_with_its_last(database: Database) -> None:
    fill_small_system(database)
    job = submit(database, chunk_size=4)
    first, second = dispatched(database)
    assert job_of(database, job).state is JobState.QUEUED

    assert runner(database).run(first)
    running = job_of(database, job)
    assert (running.state, running.finished_at) == (JobState.RUNNING, None)
    assert running.started_at is not None

    assert runner(database).run(second)
    ended = job_of(database, job)
    assert (ended.state, ended.state_reason, ended.started_at) == (JobState.SUCCEEDED, None, running.started_at)
    assert ended.finished_at is not None


@pytest.mark.parametrize("chunk_size", [1, 4, 1000])
def test_a_job_counts_what_it_did_and_archives_exactly_what_it_took(database: Database, chunk_size: int) -> None:
    fill_small_system(database)
    before = dump(database)
    job = submit(database, chunk_size=chunk_size)
    work(database)

    sums = totals(database, job)
    assert (sums.changed, sums.unchanged, sums.failed) == (2, 4, 0)
    assert sums.rows == Rows(attempts_erased=4, chapters_reset=3, courses_reset=3)
    assert archived(database, job) == ARCHIVED
    lines = {line.user_id: line.rows for line in Administration(database, "root").report(job)}
    assert lines == dict.fromkeys(AT_NORTH, Rows()) | {
        11: Rows(attempts_erased=3, chapters_reset=2, courses_reset=2),
        12: Rows(attempts_erased=1, chapters_reset=1, courses_reset=1),
    }
    after = dump(database)
    assert [row["id"] for row in after["attempts"]] == [5, 6]
    for table in ("attempts", "chapter_progress", "course_progress"):
        taken = [row for row in before[table] if row not in after[table]]
        twins = [{k: v for k, v in row.items() if k != "job_id"} for row in after[f"archive_{table}"]]
        assert sorted(twins, key=repr) == sorted(taken, key=repr), table


def test_the_records_are_reset_as_the_rules_say(database: Database) -> None:
    fill_small_system(database)
    submit(database)
    work(database)
    after = dump(database)
    chapters = {
        (row["user_id"], row["chapter_id"]): (row["status"], row["position_seconds"], row["completed_at"])
        for row in after["chapter_progress"]
    }
    reset = ("incomplete", 0, None)
    assert [chapters[key] for key in ((11, 1001), (11, 1002), (12, 1001))] == [reset] * 3
    assert chapters[13, 1003] == ("in_progress", 30, None)
    courses = {(row["user_id"], row["course_id"]): row["status"] for row in after["course_progress"]}
    assert courses == {
        (11, 101): "incomplete",
        (11, 102): "incomplete",
        (12, 101): "incomplete",
        (13, 102): "in_progress",
        (21, 101): "completed",
    }


def test_a_second_job_with_the_same_words_changes_nothing_more(database: Database) -> None:
    fill_small_system(database)
    submit(database)
    work(database)
    records = {name: rows for name, rows in dump(database).items() if "progress" in name or "attempts" in name}
    again = submit(database)
    work(database)
    assert (totals(database, again).changed, totals(database, again).unchanged) == (0, 6)
    assert {name: rows for name, rows in dump(database).items() if name in records} == records


# The same message twice, and at once.


def test_a_chunk_that_is_delivered_twice_has_one_effect(database: Database) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    assert runner(database).run(chunk)
    after = dump(database)
    assert not runner(database).run(chunk)
    assert dump(database) == after
    assert archived(database, job) == ARCHIVED


def test_a_chunk_that_four_workers_run_at_once_has_one_effect(database: Database, database_url: str) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    assert sorted(at_once(database_url, lambda own: [runner(own).run(chunk)])) == [False, False, False, True]
    assert archived(database, job) == ARCHIVED
    assert job_of(database, job).state is JobState.SUCCEEDED


def test_every_chunk_delivered_to_four_workers_at_once_is_done_once(database: Database, database_url: str) -> None:
    crowd = fill_crowd(database, 40)
    job = submit(database, of_users(crowd), chunk_size=4)
    chunks = dispatched(database)
    done = at_once(database_url, lambda own: [runner(own).run(chunk) for chunk in chunks])
    assert sum(done) == len(chunks) == 10
    sums = totals(database, job)
    assert (sums.changed, sums.rows) == (40, sum([EACH] * 40, Rows()))
    assert [user for user, chapter in archived(database, job)["chapter_progress"] if chapter == 1001] == crowd
    assert len(set(archived(database, job)["attempts"])) == 80
    assert job_of(database, job).state is JobState.SUCCEEDED


def at_once(database_url: str, call: Callable[[Database], list[bool]]) -> list[bool]:
    """Do the same in four threads, each with a database of its own, as four workers do."""
    databases = [Database(database_url) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            return [done for answers in pool.map(call, databases) for done in answers]
    finally:
        for own in databases:
            own.close()


# Fenced.


def test_a_worker_that_slept_past_its_lease_leaves_nothing_and_another_does_its_chunk(
    database: Database, database_url: str
) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    seen: list[dict[str, object]] = []

    def lose_the_fence() -> None:
        with database.write() as connection:
            (lapsed,) = lapsed_rows.find_lapsed(connection)
            assert lapsed_rows.return_if_still_claimed(connection, lapsed)
        seen.append(dict(dump(database)))

    sleeper = Sleeper(database_url, lose_the_fence)
    assert not runner(sleeper).run(chunk)
    sleeper.close()
    assert seen == [dump(database)]
    assert archived(database, job) == {table: [] for table in ARCHIVED}

    for row in chunks_of(database):
        assert runner(database, "another").run(row["id"])
    assert archived(database, job) == ARCHIVED
    assert job_of(database, job).state is JobState.SUCCEEDED


def test_a_worker_that_slept_while_another_finished_its_chunk_leaves_nothing(
    database: Database, database_url: str
) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    seen: list[dict[str, object]] = []

    def let_another_finish() -> None:
        with database.write() as connection:
            (lapsed,) = lapsed_rows.find_lapsed(connection)
            assert lapsed_rows.return_if_still_claimed(connection, lapsed)
        for row in chunks_of(database):
            assert runner(database, "another").run(row["id"])
        seen.append(dict(dump(database)))

    sleeper = Sleeper(database_url, let_another_finish)
    assert not runner(sleeper).run(chunk)
    sleeper.close()
    assert seen == [dump(database)]
    assert archived(database, job) == ARCHIVED


# Killed.


@pytest.mark.parametrize("fault", ["after the claim", "before the commit", "after the commit"])
def test_wherever_a_worker_is_killed_its_chunk_is_done_once_and_counted(
    database: Database, database_url: str, fault: Fault
) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    mortal = Mortal(database_url)
    mortal.fault = fault
    with pytest.raises(Died):
        runner(mortal).run(chunk)
    mortal.close()
    assert archived(database, job) == (ARCHIVED if fault == "after the commit" else {table: [] for table in ARCHIVED})

    with database.write() as connection:
        for lapsed in lapsed_rows.find_lapsed(connection):
            assert lapsed_rows.return_if_still_claimed(connection, lapsed)
    work(database)
    assert archived(database, job) == ARCHIVED
    sums = totals(database, job)
    assert (sums.changed, sums.unchanged, sums.failed) == (2, 4, 0)
    assert sums.rows == Rows(attempts_erased=4, chapters_reset=3, courses_reset=3)


# Beside others.


def test_a_chunk_whose_parents_are_derived_runs_beside_another_job_on_the_same_users(
    database: Database, database_url: str
) -> None:
    """Each of two jobs resets one of ada's two completed chapters; the course must not stay as if one were left."""
    fill_small_system(database)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM course_progress WHERE course_id = 102")
        connection.exec_driver_sql("UPDATE course_progress SET status = 'in_progress' WHERE user_id = 11")
    for chapter in (1001, 1002):
        request = ResetRequest(kind=TRAINING.kind, users=TRAINING.users, content=ContentSelection(chapters=(chapter,)))
        submit(database, request)
    chunks = iter(dispatched(database))
    with ThreadPoolExecutor(2) as pool:
        databases = [Database(database_url) for _ in range(2)]
        assert all(pool.map(lambda own, chunk: runner(own).run(chunk), databases, chunks))
        for own in databases:
            own.close()
    assert ranges_of(database) == [(0, 5), (0, 5)]
    courses = {row["user_id"]: row["status"] for row in dump(database)["course_progress"] if row["course_id"] == 101}
    assert courses == {11: "incomplete", 12: "incomplete", 21: "completed"}


def test_a_chunk_of_a_higher_priority_is_run_by_whatever_message_comes_first(database: Database) -> None:
    crowd = fill_crowd(database, 6)
    low = submit(database, of_users(crowd[:4]), chunk_size=2)
    first, second = dispatched(database)
    high = submit(database, of_users(crowd[4:]), priority=2)
    (urgent,) = dispatched(database)
    own = runner(database)

    assert own.run(first)
    assert totals(database, high).changed == 2
    assert low not in [row["job_id"] for row in chunks_of(database) if row["state"] == "done"]
    assert not own.run(urgent)
    assert dispatched(database) == [first]
    assert own.run(second)
    assert own.run(first)
    assert totals(database, low).changed == 4
