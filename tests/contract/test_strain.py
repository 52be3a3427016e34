"""The database's load: what it really shows, and jobs that slow down, hold with the reason and go on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobs.database import Database, read_now
from jobs.housekeeping import Housekeeper
from jobs.settings import Settings
from jobs.store import strain_rows
from jobs.strain import FULL_PACE, Pace, Reading
from tests.clock import stop_clock
from tests.contract.test_windows import run_all, runner, standing
from tests.installation import eventually
from tests.small import Broker, fill_crowd, fill_small_system, job_of, of_users, ranges_of, submit

SETTINGS = Settings(window=8, strain_worsens_seconds=0.1, strain_calm_seconds=0.3)
HELD = "the database is under strain (sessions that wait for a lock: 3); goes on when it is calm"


def keeper(database: Database, broker: Broker, settings: Settings = SETTINGS) -> Housekeeper:
    housekeeper = Housekeeper(
        database,
        settings,
        "worker",
        broker,
        waiting=lambda: 0,
        lives=lambda _: True,
        kill=lambda _: None,
        start_courier=lambda: None,
    )
    housekeeper.beat()
    return housekeeper


def set_pace(database: Database, level: int, sign: str | None = "a test", valid: float = 60) -> None:
    with database.write() as connection:
        now = read_now(connection)
        pace = Pace(level=level, sign=sign, strained=True, since=now)
        strain_rows.write_pace(connection, pace, now + timedelta(seconds=valid))


@contextmanager
def lock_waits(url: str, sessions: int, name: str = "learning system") -> Iterator[None]:
    """Let so many sessions of a program wait for a row that another one has locked."""
    statement = "UPDATE locations SET name = 'held' WHERE id = 1"

    def wait() -> None:
        with psycopg.connect(url, application_name=name) as learner:
            learner.execute(statement)

    waiting = [threading.Thread(target=wait) for _ in range(sessions)]
    with psycopg.connect(url, application_name=name) as holder:
        holder.execute(statement)
        for thread in waiting:
            thread.start()
        yield
    for thread in waiting:
        thread.join(20)


def test_a_database_at_rest_shows_nothing(database: Database) -> None:
    fill_small_system(database)
    with database.read() as connection:
        assert strain_rows.read_load(connection) == Reading()
        assert strain_rows.read_pace(connection).level == FULL_PACE


def test_a_job_holds_while_others_wait_for_locks_and_goes_on_when_they_do_not(postgres_database_url: str) -> None:
    database, broker = Database(postgres_database_url), Broker()
    job = submit(database, of_users(fill_crowd(database, 40)), chunk_size=4)
    house = keeper(database, broker)
    house.round()
    sent = broker.take()
    assert len(sent) == 8

    def round_until(state: str) -> Callable[[], bool]:
        def reached() -> bool:
            house.round()
            return job_of(database, job).state.value == state

        return reached

    with lock_waits(postgres_database_url, 3):
        eventually(round_until("holding"), 20)
        assert standing(database, job) == ("holding", HELD)
    eventually(round_until("queued"), 20)
    assert standing(database, job) == ("queued", None)
    run_all(database, sent)
    assert standing(database, job) == ("succeeded", None)
    database.close()


@pytest.mark.parametrize(("name", "seen"), [("training-reset", 0), ("learning system", 2)])
def test_our_own_sessions_that_wait_for_each_other_are_no_strain(
    postgres_database_url: str, name: str, seen: int
) -> None:
    database = Database(postgres_database_url)
    fill_small_system(database)
    long_waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '0.6 s'"
    with lock_waits(postgres_database_url, 2, name), psycopg.connect(postgres_database_url, autocommit=True) as server:
        eventually(lambda: server.execute(long_waits).fetchone() == (2,), 20)
        with database.read() as connection:
            assert strain_rows.read_load(connection).lock_waits == seen
    database.close()


@pytest.mark.parametrize(("level", "chunks"), [(4, 8), (3, 4), (2, 2), (1, 1)])
def test_under_strain_the_window_is_smaller(database: Database, level: int, chunks: int) -> None:
    job = submit(database, of_users(fill_crowd(database, 20)), chunk_size=2)
    set_pace(database, level)
    broker = Broker()
    slow = SETTINGS.model_copy(update={"strain_calm_seconds": 60, "strain_worsens_seconds": 60})
    keeper(database, broker, slow).round()
    assert len(ranges_of(database, job)) == chunks


def test_what_is_urgent_goes_on_where_all_else_holds(database: Database) -> None:
    crowd = fill_crowd(database, 4)
    set_pace(database, 0)
    held, urgent = submit(database, of_users(crowd)), submit(database, of_users(crowd), urgent=True)
    broker = Broker()
    slow = SETTINGS.model_copy(update={"strain_calm_seconds": 60})
    keeper(database, broker, slow).round()
    run_all(database, broker.take())
    assert standing(database, held) == (
        "holding",
        "the database is under strain (a test); goes on when it is calm",
    )
    assert standing(database, urgent) == ("succeeded", None)


def test_a_pace_that_nobody_renews_is_forgotten(database: Database) -> None:
    job = submit(database, of_users(fill_crowd(database, 4)))
    set_pace(database, 0, valid=-1)
    house = keeper(database, Broker())
    house.round()
    assert standing(database, job) == ("queued", None)


def test_the_chunks_of_the_last_seconds_are_told_from_those_before(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_clock(monkeypatch, datetime(2026, 11, 23, 12, tzinfo=UTC))
    submit(database, of_users(fill_crowd(database, 16)), chunk_size=2)
    broker = Broker()
    keeper(database, broker).round()
    sent = broker.take()
    for chunk in sent[:3]:
        run_one(database, chunk)
    clock.go_on(seconds=11)
    run_one(database, sent[3])
    with database.read() as connection:
        assert strain_rows.read_load(connection).chunks == (([(2, 0.0)], [(2, 0.0)] * 3),)
    clock.go_on(seconds=11)
    with database.read() as connection:
        assert strain_rows.read_load(connection).chunks == ()


def run_one(database: Database, chunk: int) -> None:
    assert runner(database).run(chunk)
