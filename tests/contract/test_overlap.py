"""Jobs that meet each other, learners at work, locks and timeouts: no user fails for it, and nothing is lost."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Barrier, Event, Lock
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import OperationalError

from jobs import dispatch, execution
from jobs.database import Database, Isolation
from jobs.execution import ChunkRunner
from jobs.model import JobState, Kind, Outcome
from jobs.records import tables
from jobs.records.tables import ARCHIVE
from jobs.scope import ContentSelection, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from tests.installation import eventually
from tests.interruptions import drug, sessions_that_wait
from tests.small import (
    ENDED,
    TRAINING,
    Broker,
    Row,
    archived,
    chunks_of,
    dump,
    fill_crowd,
    fill_small_system,
    job_of,
    of_users,
    ranges_of,
    submit,
)

SETTINGS = Settings(window=100)
DEADLOCK = "40P01"


def dispatched(database: Database) -> list[int]:
    broker = Broker()
    dispatch.fill(database, SETTINGS, broker)
    return broker.messages


def run(database: Database, chunk: int) -> bool:
    return ChunkRunner(database, "worker", SETTINGS).run(chunk)


def training(*, users: tuple[int, ...], **content: Any) -> ResetRequest:  # noqa: ANN401 - any choice of content
    return ResetRequest(kind=Kind.TRAINING, users=UserSelection(ids=users), content=ContentSelection(**content))


def outcomes(database: Database, job: int) -> dict[int, tuple[Outcome | None, str | None]]:
    return {line.user_id: (line.outcome, line.error) for line in Administration(database, "root").report(job)}


# Two jobs.


def test_two_jobs_on_the_same_users_and_content_end_as_one_after_the_other_would(
    database: Database, database_url: str
) -> None:
    crowd = fill_crowd(database, 30)
    before = {row["id"]: row for row in dump(database)["attempts"]}
    first, second = (
        submit(database, of_users(crowd[:20]), chunk_size=3),
        submit(database, of_users(crowd), chunk_size=4),
    )
    chunks = dispatched(database)
    random.Random(5).shuffle(chunks)
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: [run(databases[n], chunk) for chunk in chunks[n::4]], range(4)))
    for own in databases:
        own.close()

    assert all(all(of_thread) for of_thread in done)
    assert [job_of(database, job).state for job in (first, second)] == [JobState.SUCCEEDED] * 2
    after = dump(database)
    assert after["attempts"] == []
    assert {row["status"] for name in ("chapter_progress", "course_progress") for row in after[name]} == {"incomplete"}
    twins = [{name: row[name] for name in row if name != "job_id"} for row in after["archive_attempts"]]
    assert sorted(twins, key=lambda row: row["id"]) == [before[number] for number in sorted(before)]
    taken = {job: {user for user, _ in archived(database, job)["course_progress"]} for job in (first, second)}
    assert not taken[first] & taken[second], "whoever comes second finds nothing left to do"
    assert taken[first] | taken[second] == set(crowd)
    for job, users in taken.items():
        changed = {user for user, (outcome, _) in outcomes(database, job).items() if outcome is Outcome.CHANGED}
        assert changed == users
        assert list(Administration(database, "root").verify(job)) == []


class Meeting(Database):
    """The databases of two workers whose first transactions both see what was there before either changed it."""

    def __init__(self, url: str, meeting: Barrier) -> None:
        super().__init__(url)
        self._meeting: Barrier | None = meeting

    @contextmanager
    def write(self, isolation: Isolation = "READ COMMITTED") -> Iterator[Connection]:
        with super().write(isolation) as connection:
            if isolation != "READ COMMITTED" and self._meeting is not None:
                meeting, self._meeting = self._meeting, None
                connection.execute(select(1))  # from here on it sees nothing that the other one does
                meeting.wait()
            yield connection


def put_back_last_two_chapters(database: Database) -> None:
    """Give ada two completed chapters, 1001 and 1002, of two courses in progress: the only ones they live by."""
    completed = {"status": "completed", "completed_at": ENDED}
    with database.write() as connection:
        connection.execute(update(tables.chapter_progress).where(tables.chapter_progress.c.user_id == 11), [completed])
        connection.execute(
            update(tables.course_progress).where(tables.course_progress.c.user_id == 11).values(status="in_progress")
        )


def courses_of_ada(database: Database) -> dict[int, str]:
    return {row["course_id"]: row["status"] for row in dump(database)["course_progress"] if row["user_id"] == 11}


def reset_each_of_the_last_two(database: Database, databases: list[Database]) -> None:
    """Run two jobs at once, each of which resets one of ada's last two live chapters."""
    put_back_last_two_chapters(database)
    jobs = [submit(database, training(users=(11,), chapters=(chapter,))) for chapter in (1001, 1002)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, databases, dispatched(database))) == [True, True]
    assert [job_of(database, job).state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert courses_of_ada(database) == {101: "incomplete", 102: "incomplete"}


def test_two_jobs_that_see_each_other_s_chapter_as_still_live_do_not_leave_its_course_in_progress(
    postgres: Database, postgres_database_url: str
) -> None:
    fill_small_system(postgres)
    meeting = Barrier(2, timeout=20)
    databases: list[Database] = [Meeting(postgres_database_url, meeting) for _ in range(2)]
    reset_each_of_the_last_two(postgres, databases)
    for own in databases:
        own.close()


@pytest.mark.parametrize(
    "conflicts_before_locking", [(2, 2), (0, 0), (2, 0)], ids=["snapshots", "locks first", "one of each"]
)
def test_two_jobs_that_each_reset_one_of_the_last_two_live_chapters_reset_the_course_every_time(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    conflicts_before_locking: tuple[int, int],
) -> None:
    fill_small_system(database)
    databases = [Database(database_url) for _ in range(2)]
    bounds = iter(conflicts_before_locking * 30)
    monkeypatch.setattr(execution, "_CONFLICTS_BEFORE_LOCKING", _Drawn(bounds))
    for _ in range(10):
        reset_each_of_the_last_two(database, databases)
    for own in databases:
        own.close()


class _Drawn:
    """A bound that is another one each time it is asked: `conflicts >= bound`."""

    def __init__(self, bounds: Iterator[int]) -> None:
        self._bounds, self._lock = bounds, Lock()

    def __le__(self, conflicts: int) -> bool:
        with self._lock:
            return conflicts >= next(self._bounds, 0)


# The preview.


def notes(database: Database, request: ResetRequest) -> list[str]:
    return [note for note in Administration(database, "root").preview(request).notes if note.startswith("Job ")]


def test_a_preview_names_the_jobs_that_are_about_the_same_users_and_content_and_have_not_ended(
    database: Database,
) -> None:
    fill_small_system(database)
    first, second = submit(database, TRAINING), submit(database, TRAINING)
    run(database, dispatched(database)[0])
    Steering(database, "root").pause(second)
    told = f"Job {second} (paused) is about some of the same users and content and has not ended."
    assert job_of(database, first).state is JobState.SUCCEEDED
    assert notes(database, TRAINING) == [told]
    assert notes(database, training(users=(11,), chapters=(1002,))) == [told]
    assert notes(database, training(users=(11,), chapters=(1003,))) == []
    assert notes(database, replace(training(users=(21,), courses=(101,)), location=2)) == []
    Steering(database, "root").cancel(second)
    assert notes(database, TRAINING) == []


# Learners at work.


@dataclass
class Learners:
    """Learners who begin and end attempts, and move their progress, as fast as the database lets them."""

    database: Database
    users: list[int]
    next_attempt: int
    stopped: Event = field(default_factory=Event)
    began: dict[int, Row] = field(default_factory=dict)
    """Every attempt whose beginning was committed, as it was then."""
    ended: dict[int, Row] = field(default_factory=dict)
    """Every attempt whose end was committed, as it is then."""

    def work(self) -> None:
        chance = random.Random(self.next_attempt)
        while not self.stopped.is_set():
            user = chance.choice(self.users)
            attempt = {"id": self.next_attempt, "user_id": user, "chapter_id": 1001}
            attempt |= {"started_at": datetime.now(UTC), "finished_at": None, "score": None, "passed": None}
            self.next_attempt += 1
            self._again_after_a_deadlock(lambda c, attempt=attempt: self._begin(c, attempt))
            self.began[attempt["id"]] = attempt
            finished = attempt | {"finished_at": datetime.now(UTC), "score": 88.25, "passed": True}
            if self._again_after_a_deadlock(lambda c, finished=finished: self._end(c, finished)):
                self.ended[attempt["id"]] = finished

    def _again_after_a_deadlock(self, change: Callable[[Connection], bool]) -> bool:
        while True:
            try:
                with self.database.write() as connection:
                    return change(connection)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != DEADLOCK:
                    raise

    def _begin(self, connection: Connection, attempt: Row) -> bool:
        connection.execute(insert(tables.attempts), [attempt])
        self._move(connection, attempt["user_id"], "in_progress", None)
        return True

    def _end(self, connection: Connection, attempt: Row) -> bool:
        statement = update(tables.attempts).where(tables.attempts.c.id == attempt["id"]).values(attempt)
        there = connection.execute(statement).rowcount == 1
        if there:
            self._move(connection, attempt["user_id"], "completed", attempt["finished_at"])
        return there

    @staticmethod
    def _move(connection: Connection, user: int, status: str, completed: datetime | None) -> None:
        for table in (tables.chapter_progress, tables.course_progress):
            values = {"status": status, "completed_at": completed, "last_activity_at": datetime.now(UTC)}
            connection.execute(update(table).where(table.c.user_id == user).values(values))


def test_while_learners_go_on_working_nobody_fails_and_what_is_erased_is_exactly_what_was_archived(
    postgres: Database, postgres_database_url: str
) -> None:
    crowd = fill_crowd(postgres, 40)
    first = {row["id"]: row for row in dump(postgres)["attempts"]}
    learners = [Learners(Database(postgres_database_url), crowd[n::2], 10_000 * (n + 1)) for n in range(2)]
    job = submit(postgres, of_users(crowd), chunk_size=8)
    own = [Database(postgres_database_url) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        at_work = [pool.submit(learner.work) for learner in learners]
        try:
            eventually(lambda: all(len(learner.began) > 50 for learner in learners) or _failed(at_work))
            chunks = dispatched(postgres)
            assert all(pool.map(lambda n: all(run(own[n], chunk) for chunk in chunks[n::2]), range(2)))
            after_the_job = [learner.next_attempt for learner in learners]
            eventually(
                lambda: all(learner.next_attempt > n + 20 for learner, n in zip(learners, after_the_job, strict=True))
            )
        finally:
            for learner in learners:
                learner.stopped.set()
        for future in at_work:
            future.result()

    assert (job_of(postgres, job).state, job_of(postgres, job).state_reason) == (JobState.SUCCEEDED, None)
    assert set(outcomes(postgres, job).values()) == {(Outcome.CHANGED, None)}
    with postgres.read() as connection:
        live = {row["id"]: dict(row) for row in connection.execute(select(tables.attempts)).mappings()}
        twin = ARCHIVE[tables.attempts]
        rows = [dict(row) for row in connection.execute(select(twin).where(twin.c.job_id == job)).mappings()]
    erased = {row["id"]: {name: row[name] for name in row if name != "job_id"} for row in rows}
    began = first | learners[0].began | learners[1].began
    ended = first | learners[0].ended | learners[1].ended
    assert len(rows) == len(erased)
    assert not set(live) & set(erased)
    assert set(live) | set(erased) == set(began)
    assert set(first) <= set(erased)
    for number, row in (live | erased).items():
        assert row in (began[number], ended.get(number)), number
    for learner, number in zip(learners, after_the_job, strict=True):
        assert {attempt for attempt in learner.began if attempt > number} <= set(live)
    faults = [found for found in Administration(postgres, "root").verify(job) if not found.since]
    assert faults == []
    for database in (*own, *(learner.database for learner in learners)):
        database.close()


def _failed(futures: list["Future[None]"]) -> bool:
    return any(future.done() for future in futures)


# Deadlocks and timeouts.


@pytest.mark.parametrize(("courses_first", "deadlocks"), [(False, 0), (True, 1)])
def test_only_who_writes_courses_before_chapters_deadlocks_with_a_chunk_and_that_is_tried_again(
    postgres: Database, postgres_database_url: str, *, courses_first: bool, deadlocks: int
) -> None:
    crowd = fill_crowd(postgres, 6)
    job = submit(postgres, of_users(crowd))
    (chunk,) = dispatched(postgres)
    sleeps: list[float] = []
    own = Database(postgres_database_url)
    runner = ChunkRunner(own, "worker", SETTINGS, sleep=sleeps.append)
    course, chapter = (
        update(table).where(table.c.user_id == 1003) for table in (tables.course_progress, tables.chapter_progress)
    )
    writes = [chapter.values(position_seconds=31), course.values(last_activity_at=ENDED)]
    first, second = reversed(writes) if courses_first else writes
    with ThreadPoolExecutor(1) as pool:
        with postgres.write() as connection:
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '20s'")  # so that it is the chunk that gives way
            connection.execute(first)
            running = pool.submit(runner.run, chunk)
            eventually(lambda: sessions_that_wait(own))
            connection.execute(second)
        assert running.result()
    own.close()
    assert len(sleeps) == chunks_of(postgres)[0]["collisions"] >= 1
    assert set(outcomes(postgres, job).values()) == {(Outcome.CHANGED, None)}
    (twin,) = [row for row in dump(postgres)["archive_chapter_progress"] if row["user_id"] == 1003]
    assert twin["position_seconds"] == 31, "what the other transaction wrote was archived"
    assert job_of(postgres, job).state is JobState.SUCCEEDED
    eventually(lambda: _sessions(postgres) == 1)  # what a session has counted is known once it has ended
    assert _ask(postgres, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == deadlocks


def _sessions(database: Database) -> int:
    return _ask(database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")


def _ask(database: Database, query: str) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def test_a_user_whose_reset_takes_too_long_is_found_by_halves_and_failed_alone(postgres: Database) -> None:
    crowd = fill_crowd(postgres, 8)
    drug(postgres, [1003])
    job = submit(postgres, of_users(crowd), chunk_size=8)
    settings = Settings(statement_timeout_seconds=0.3)
    runner = ChunkRunner(postgres, "worker", settings, sleep=lambda _: None)
    seen = [ranges_of(postgres)]
    tries = 0
    while messages := dispatched(postgres):
        for chunk in messages:
            tries += not runner.run(chunk)
        seen.append(ranges_of(postgres))
    assert seen[1:3] == [[(0, 7)], [(0, 3), (4, 7)]], "once more whole, then in halves"
    assert ranges_of(postgres) == [(0, 1), (2, 2), (3, 3), (4, 7)]
    # Twice the eight, twice the second half of the four that had failed once more, five times alone.
    assert tries == 2 + 1 + 2 + 5
    reason = "canceling statement due to statement timeout"
    healthy = dict.fromkeys([user for user in crowd if user != 1003], (Outcome.CHANGED, None))
    assert outcomes(postgres, job) == healthy | {1003: (Outcome.FAILED, reason)}
    assert archived(postgres, job)["course_progress"] == [(user, 101) for user in healthy]
    ended = job_of(postgres, job)
    assert (ended.state, ended.state_reason) == (JobState.COMPLETED_WITH_FAILURES, "1 of 8 users failed")
    assert [chunk["retries"] for chunk in chunks_of(postgres)][1] >= 4
