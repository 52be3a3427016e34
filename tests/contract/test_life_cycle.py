"""The life of jobs under random faults: whatever dies, is lost, doubled or late, what must hold holds after each step.

The broker loses and doubles messages, workers die at every commit point or sleep past their lease, administrators
give orders, learners work. In the end everything is healed: then every job must end.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, insert, text, update

from jobs import dispatch
from jobs.database import Database
from jobs.dispatch import PublishFailed
from jobs.errors import Conflict
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.records import tables
from jobs.schema import metadata
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store.tables import chunks, leases, workers
from tests.interruptions import Died, Fault, Mortal, MortalBroker
from tests.small import Row, chunks_of, dump, fill_crowd, of_users, submit
from tests.unit.test_job_life import ALLOWED, ENDED

SETTINGS = Settings(window=3)
EXAMPLES = {"sqlite": 20, "postgresql": 6}
STEPS = 30
LEARNERS = 8
MOST_JOBS = 5
MOST_ROUNDS = 60
RUNNABLE = ("queued", "running")
WORKERS = ("ada", "grace")

_WATCH = {
    "sqlite": """
        CREATE TABLE transitions (before TEXT, after TEXT);
        CREATE TABLE cursed (id INTEGER);
        CREATE TRIGGER watch AFTER UPDATE OF state ON jobs
            BEGIN INSERT INTO transitions VALUES (OLD.state, NEW.state); END;
        CREATE TRIGGER curse BEFORE UPDATE ON course_progress WHEN NEW.status = 'incomplete' AND OLD.user_id IN cursed
            BEGIN SELECT RAISE(ABORT, 'the row is cursed'); END
    """,
    "postgresql": """
        CREATE TABLE transitions (before text, after text);
        CREATE TABLE cursed (id bigint);
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO transitions VALUES (OLD.state, NEW.state); RETURN NEW; END $$;
        CREATE TRIGGER watch AFTER UPDATE OF state ON jobs FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE FUNCTION curse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.status = 'incomplete' AND EXISTS (SELECT FROM cursed WHERE id = OLD.user_id)
            THEN RAISE EXCEPTION 'the row is cursed'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER curse BEFORE UPDATE ON course_progress FOR EACH ROW EXECUTE FUNCTION curse()
    """,
}


@dataclass
class Seen:
    """What was seen of a job that had stopped."""

    state: str
    done: list[int] = field(default_factory=list)


class LifeCycle(RuleBasedStateMachine):
    """Jobs on a small crowd, and everything that may happen to them."""

    database: ClassVar[Database]
    mortal: ClassVar[Mortal]

    @initialize(cursed=st.sets(st.integers(1001, 1000 + LEARNERS), max_size=2))
    def begin(self, cursed: set[int]) -> None:
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            connection.exec_driver_sql("DELETE FROM transitions")
            connection.exec_driver_sql("DELETE FROM cursed")
            connection.execute(insert(leases), [{"name": "housekeeping"}, {"name": "window"}])
            for user in cursed:
                connection.execute(text("INSERT INTO cursed VALUES (:user)"), {"user": user})
        self.crowd = fill_crowd(self.database, LEARNERS)
        self.broker = MortalBroker()
        self.attempts = {row["id"] for row in self._rows("attempts")}
        self.stopped: dict[int, Seen] = {}
        self.jobs = 0
        self.retried: set[int] = set()

    # Administrators and learners.

    @precondition(lambda self: self.jobs < MOST_JOBS)
    @rule(
        users=st.sets(st.integers(0, LEARNERS - 1), min_size=1),
        chunk_size=st.integers(1, 5),
        priority=st.integers(0, 2),
    )
    def submit(self, users: set[int], chunk_size: int, priority: int) -> None:
        request = of_users(self.crowd[number] for number in sorted(users))
        submit(self.database, request, chunk_size=chunk_size, priority=priority)
        self.jobs += 1

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, MOST_JOBS - 1), order=st.sampled_from((Steering.pause, Steering.resume)))
    def steer(self, number: int, order: Callable[[Steering, int], None]) -> None:
        with suppress(Conflict):
            order(Steering(self.database, "root"), self._job(number)["id"])

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, MOST_JOBS - 1))
    def cancel(self, number: int) -> None:
        with suppress(Conflict):
            Steering(self.database, "root").cancel(self._job(number)["id"])

    @precondition(lambda self: 0 < self.jobs < MOST_JOBS)
    @rule(number=st.integers(0, MOST_JOBS - 1))
    def retry(self, number: int) -> None:
        job = self._job(number)
        treated = self._treated(job["id"])
        missed = [user for user in self._targets(job["id"]) if user not in treated]
        if job["state"] not in ENDED or not missed:
            with pytest.raises(Conflict):
                Steering(self.database, "root").retry(job["id"], JobOptions(reason="once more"))
            return
        again, new = Steering(self.database, "root").retry(job["id"], JobOptions(reason="once more", chunk_size=2))
        assert new is (job["id"] not in self.retried), "a job is retried once"
        self.retried.add(job["id"])
        assert self._targets(again.id) == missed
        self.jobs += new

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, MOST_JOBS - 1), rate=st.sampled_from((None, 1e6)), priority=st.integers(0, 2))
    def set_pace(self, number: int, rate: float | None, priority: int) -> None:
        with suppress(Conflict):
            Steering(self.database, "root").set_pace(self._job(number)["id"], max_rate=rate, priority=priority)

    @rule(number=st.integers(0, LEARNERS - 1))
    def learn(self, number: int) -> None:
        user, attempt, now = self.crowd[number], max(self.attempts) + 1, datetime.now(UTC)
        row = {"id": attempt, "user_id": user, "chapter_id": 1001, "started_at": now}
        done = {"status": "completed", "completed_at": now, "last_activity_at": now}
        with self.database.write() as connection:
            connection.execute(insert(tables.attempts), [row])
            for table in (tables.chapter_progress, tables.course_progress):
                connection.execute(update(table).where(table.c.user_id == user).values(done))
        self.attempts.add(attempt)

    # The broker.

    @precondition(lambda self: self.broker.messages)
    @rule(number=st.integers(0, 9), times=st.sampled_from((0, 0, 2, 5)))
    def lose_or_double(self, number: int, times: int) -> None:
        message = self._take(number)
        self.broker.messages += [message] * times

    @rule()
    def flush(self) -> None:
        self.broker.take()

    # Workers.

    @rule(takes=st.sampled_from((None, None, None, 0, 1)), dies_after=st.sampled_from((None, None, None, 0, 1)))
    def fill(self, takes: int | None, dies_after: int | None) -> None:
        before = self._in_flight()
        self.broker.takes, self.broker.dies_after = takes, dies_after
        with suppress(PublishFailed, Died):
            dispatch.fill(self.database, SETTINGS, self.broker)
        self.broker.takes = self.broker.dies_after = None
        assert self._in_flight() <= max(before, SETTINGS.window)

    @precondition(lambda self: self.broker.messages)
    @rule(
        number=st.integers(0, 9),
        worker=st.sampled_from(WORKERS),
        fault=st.sampled_from(("none", "none", "none", "after the claim", "before the commit", "after the commit")),
    )
    def deliver(self, number: int, worker: str, fault: Fault) -> None:
        self.mortal.fault = fault
        with suppress(Died):
            self._runner(worker).run(self._take(number))
        self.mortal.fault = "none"

    @precondition(lambda self: self.broker.messages)
    @rule(
        number=st.integers(0, 9),
        meanwhile=st.sampled_from(("pause", "cancel", "pause and resume", "lapse", "lapse and finish")),
    )
    def deliver_to_a_sleeper(self, number: int, meanwhile: str) -> None:
        """A worker claims a chunk and sleeps before its transaction; it wakes up and goes on as if nothing were."""
        message = self._take(number)
        job = next((chunk["job_id"] for chunk in chunks_of(self.database) if chunk["id"] == message), None)

        def sleep() -> None:
            assert job is not None
            steering = Steering(self.database, "root")
            if meanwhile.startswith("pause"):
                steering.pause(job)
            if meanwhile.endswith("resume"):
                steering.resume(job)
            if meanwhile == "cancel":
                steering.cancel(job)
            if meanwhile.startswith("lapse"):
                self._lapse("ada")
                self._house("grace", lives=True)
            if meanwhile.endswith("finish"):
                for chunk in chunks_of(self.database, job):
                    self._runner("grace", self.database).run(chunk["id"])

        self.mortal.asleep = sleep
        self._runner("ada").run(message)
        self.mortal.asleep = None

    @rule(worker=st.sampled_from(WORKERS), lives=st.booleans())
    def keep_house(self, worker: str, lives: bool) -> None:  # noqa: FBT001 - drawn
        self._house(worker, lives=lives)

    @rule(worker=st.sampled_from(WORKERS))
    def lapse(self, worker: str) -> None:
        self._lapse(worker)

    @rule(column=st.sampled_from(("deadline", "published_at")))
    def time_passes(self, column: str) -> None:
        self._set_back(chunks, column)

    # What must hold.

    @invariant()
    def states_change_along_the_edges_only(self) -> None:
        with self.database.read() as connection:
            seen = {(row[0], row[1]) for row in connection.exec_driver_sql("SELECT before, after FROM transitions")}
        assert {(before, after) for before, after in seen if before != after} <= ALLOWED

    @invariant()
    def chunks_hold_every_dispatched_user_once(self) -> None:
        for job in self._rows("jobs"):
            held = [
                n for c in chunks_of(self.database, job["id"]) for n in range(c["first_ordinal"], c["last_ordinal"] + 1)
            ]
            if job["state"] == "cancelled":  # what was not done was dropped
                assert len(held) == len(set(held))
                assert set(held) <= set(range(job["next_ordinal"]))
            else:
                assert held == list(range(job["next_ordinal"]))

    @invariant()
    def what_vanished_was_archived_once_and_is_counted_in_chunks_and_report(self) -> None:
        everything = dump(self.database)
        live = [row["id"] for row in everything["attempts"]]
        archived = [row["id"] for row in everything["archive_attempts"]]
        assert sorted(live + archived) == sorted(self.attempts)
        for job in everything["jobs"]:
            erased = Counter(row["user_id"] for row in everything["archive_attempts"] if row["job_id"] == job["id"])
            courses = Counter(
                row["user_id"] for row in everything["archive_course_progress"] if row["job_id"] == job["id"]
            )
            of_job = [chunk for chunk in everything["chunks"] if chunk["job_id"] == job["id"]]
            assert sum(chunk["attempts_erased"] for chunk in of_job) == sum(erased.values())
            report = list(Administration(self.database, "root").report(job["id"]))
            for line in report:
                assert line.rows.attempts_erased == erased[line.user_id]
                assert line.rows.courses_reset == courses[line.user_id]
            counted = Counter(str(line.outcome) for line in report if line.outcome is not None)
            for outcome in ("changed", "unchanged", "failed"):
                assert counted[outcome] == sum(chunk[f"users_{outcome}"] for chunk in of_job)

    @invariant()
    def nothing_commits_once_a_job_has_stopped(self) -> None:
        still = {}
        for job in self._rows("jobs"):
            if job["state"] in ("paused", *ENDED):
                done = [chunk["id"] for chunk in chunks_of(self.database, job["id"]) if chunk["state"] == "done"]
                still[job["id"]] = Seen(job["state"], done)
                before = self.stopped.get(job["id"])
                assert before is None or before.state == "paused" != job["state"] or before == still[job["id"]]
        self.stopped = still

    def teardown(self) -> None:
        """Heal: resume what is paused, let a worker keep house and take every message."""
        if not hasattr(self, "crowd"):
            return
        for _ in range(MOST_ROUNDS):
            for job in self._rows("jobs"):
                if job["state"] == "paused":
                    Steering(self.database, "root").resume(job["id"])
            for worker in WORKERS:
                self._lapse(worker)
            self._set_back(chunks, "published_at")
            self._house("healer", lives=True)
            for message in self.broker.take():
                self._runner("healer", self.database).run(message)
            if all(job["state"] in ENDED for job in self._rows("jobs")):
                break
        for job in self._rows("jobs"):
            assert job["state"] in ENDED, job
            treated = self._treated(job["id"])
            failed = [user for user in self._targets(job["id"]) if user not in treated]
            assert job["state"] == "cancelled" or (job["state"] == "succeeded") == (not failed)
            assert [f for f in Administration(self.database, "root").verify(job["id"]) if not f.since] == []
        self.what_vanished_was_archived_once_and_is_counted_in_chunks_and_report()

    # How the above do it.

    def _rows(self, table: str) -> list[Row]:
        with self.database.read() as connection:
            found = connection.execute(metadata.tables[table].select().order_by(text("id")))
            return [dict(row) for row in found.mappings()]

    def _job(self, number: int) -> Row:
        return self._rows("jobs")[number % self.jobs]

    def _targets(self, job: int) -> list[int]:
        return [line.user_id for line in Administration(self.database, "root").report(job)]

    def _treated(self, job: int) -> set[int]:
        report = Administration(self.database, "root").report(job)
        return {line.user_id for line in report if line.outcome in ("changed", "unchanged")}

    def _in_flight(self) -> int:
        """Count the chunks of runnable jobs that have a worker or a message."""
        runnable = [job["id"] for job in self._rows("jobs") if job["state"] in RUNNABLE]
        of_jobs = [c for c in chunks_of(self.database) if c["job_id"] in runnable]
        return sum(c["state"] == "claimed" or (c["state"] == "dispatched" and bool(c["published_at"])) for c in of_jobs)

    def _take(self, number: int) -> int:
        return self.broker.messages.pop(number % len(self.broker.messages))

    def _runner(self, worker: str, database: Database | None = None) -> ChunkRunner:
        return ChunkRunner(database or self.mortal, worker, SETTINGS, sleep=lambda _: None)

    def _house(self, worker: str, *, lives: bool) -> None:
        broker = self.broker
        keeper = Housekeeper(
            self.database,
            SETTINGS,
            worker,
            broker,
            lambda: len(broker.messages),
            lambda _: lives,
            lambda _: None,
            broker.start_courier,
        )
        keeper.beat()
        with suppress(PublishFailed):
            keeper.round()

    def _lapse(self, worker: str) -> None:
        self._set_back(workers, "lease_until", id=worker)
        self._set_back(leases, "until", holder=worker)

    def _set_back(self, table: Any, column: str, **where: str) -> None:  # noqa: ANN401 - a table
        statement = update(table).where(table.c[column].is_not(None)).values({column: datetime(2020, 1, 1, tzinfo=UTC)})
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        with self.database.write() as connection:
            connection.execute(statement)


def hasty(database: Database) -> Database:
    """Let SQLite not wait for the disk: nobody cuts the power here."""
    if database.dialect == "sqlite":
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    return database


def test_jobs_end_right_whatever_happens_to_them_in_whatever_order(database: Database, database_url: str) -> None:
    hasty(database)
    mortal = Mortal(database_url)
    hasty(mortal)
    with database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        if database.dialect == "sqlite":
            raw.executescript(_WATCH["sqlite"])  # type: ignore[attr-defined]
        else:
            raw.execute(_WATCH["postgresql"])  # type: ignore[attr-defined]
            raw.commit()
    machine = type("Machine", (LifeCycle,), {"database": database, "mortal": mortal})
    examples = int(os.environ.get("HYPOTHESIS_EXAMPLES", EXAMPLES[database.dialect]))
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=STEPS, deadline=None)
    )
    mortal.close()
