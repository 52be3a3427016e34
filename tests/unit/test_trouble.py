"""Whose trouble an error is, by the codes of PostgreSQL and SQLite and by what Python raises."""

import sqlite3

import psycopg
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from jobs.errors import DatabaseUnavailable
from jobs.trouble import is_conflict, is_of_a_user, is_outage

NOBODY, CHUNK, USER = "nobody", "chunk", "user"


def whose(error: Exception) -> str:
    assert not (is_outage(error) and is_of_a_user(error))
    return NOBODY if is_outage(error) else USER if is_of_a_user(error) else CHUNK


def wrapped(error: Exception, *, lost: bool = False) -> DBAPIError:
    """As SQLAlchemy gives a driver's error on."""
    kinds = (psycopg.Error, sqlite3.Error)
    base = next(kind for kind in kinds if isinstance(error, kind))
    given = DBAPIError.instance("SELECT 1", {}, error, base, connection_invalidated=lost)
    assert isinstance(given, DBAPIError)
    return given


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("08006", NOBODY),  # connection failure
        ("53100", NOBODY),  # disk full
        ("53200", NOBODY),  # out of memory
        ("57P01", NOBODY),  # shut down by an administrator
        ("58030", NOBODY),  # input/output error
        ("40001", CHUNK),  # serialization failure
        ("40P01", CHUNK),  # deadlock
        ("55P03", CHUNK),  # lock timeout
        ("57014", CHUNK),  # statement timeout
        ("22012", USER),  # division by zero
        ("23514", USER),  # check constraint
        ("54001", USER),  # stack depth exceeded
        ("P0001", USER),  # raised by a trigger
    ],
)
def test_postgresql_tells_by_its_code(code: str, expected: str) -> None:
    error = wrapped(psycopg.errors.lookup(code)("no"))
    assert whose(error) == expected
    assert is_conflict(error) is (code in ("40001", "40P01"))


def test_a_connection_that_is_lost_is_nobody_s_trouble_whatever_the_code() -> None:
    timeout = psycopg.errors.IdleInTransactionSessionTimeout("too long")
    assert whose(wrapped(timeout, lost=True)) == NOBODY
    assert whose(wrapped(psycopg.OperationalError("the server closed the connection"))) == NOBODY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_BUSY", NOBODY),
        ("SQLITE_BUSY_SNAPSHOT", NOBODY),
        ("SQLITE_FULL", NOBODY),
        ("SQLITE_IOERR_WRITE", NOBODY),
        ("SQLITE_READONLY", NOBODY),
        ("SQLITE_CORRUPT", NOBODY),
        ("SQLITE_CANTOPEN", NOBODY),
        ("SQLITE_ERROR", USER),
        ("SQLITE_CONSTRAINT_TRIGGER", USER),
        ("SQLITE_TOOBIG", USER),
    ],
)
def test_sqlite_tells_by_its_code(name: str, expected: str) -> None:
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = getattr(sqlite3, name)
    assert whose(wrapped(error)) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DatabaseUnavailable("gone; start it"), NOBODY),
        (PendingRollbackError("rolled back"), CHUNK),
        (MemoryError(), CHUNK),
        (OSError(24, "too many open files"), CHUNK),
        (SoftTimeLimitExceeded(), CHUNK),
        (KeyError("no such column"), USER),
        (ValueError("no date"), USER),
    ],
)
def test_python_tells_by_the_kind(error: Exception, expected: str) -> None:
    assert whose(error) == expected
