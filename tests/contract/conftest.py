"""The small learning system on each kind of database, with or without a clock that stands still."""

from collections.abc import Iterator

import pytest

from jobs.database import Database
from tests.clock import Clock, stop_clock
from tests.receivers import Receiver
from tests.schedules import MIDNIGHT
from tests.small import fill_small_system, submit


@pytest.fixture
def small(database: Database) -> Database:
    """The small learning system."""
    fill_small_system(database)
    return database


@pytest.fixture
def job(small: Database) -> int:
    """A job about six users in three chunks, none of them dispatched yet."""
    return submit(small, chunk_size=2)


@pytest.fixture
def clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The small learning system at midnight, 1 May 2026."""
    fill_small_system(database)
    return stop_clock(monkeypatch, MIDNIGHT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on loopback that results can be posted to."""
    with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
def postgres(postgres_database_url: str) -> Iterator[Database]:
    """A database on PostgreSQL alone."""
    database = Database(postgres_database_url)
    yield database
    database.close()
