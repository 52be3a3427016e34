"""Whose trouble an error is: of one user's records, of a chunk as a whole, or of nobody who is reset.

The drivers' classes do not tell: a full disk and a trigger that recurses for ever have the same one. Their codes do:
https://www.postgresql.org/docs/18/errcodes-appendix.html and https://www.sqlite.org/rescode.html.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from jobs.errors import DatabaseUnavailable

_CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock
_TIMEOUTS = ("57014", "55P03")  # statement timeout, lock timeout
_POSTGRES_OUTAGES = ("08", "53", "57P", "58")
"""How the codes begin: connection, resources, shutdown by an operator, the machine's own."""
_SQLITE_OUTAGES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
)
_OWN_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What our own code raises about a value; other errors are of the system, of Celery or of SQLAlchemy."""


def is_conflict(error: Exception) -> bool:
    """Tell whether a transaction lost against another one and will do when it is run again."""
    return isinstance(error, DBAPIError) and _sqlstate(error) in _CONFLICTS


def is_outage(error: Exception) -> bool:
    """Tell whether the database is out of reach or out of room, whatever is asked of it."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, DatabaseUnavailable)
    if error.connection_invalidated:
        return True
    if code := _sqlstate(error):
        return code.startswith(_POSTGRES_OUTAGES)
    if (number := getattr(error.orig, "sqlite_errorcode", None)) is not None:
        return number & 0xFF in _SQLITE_OUTAGES  # the rest of the number says more about the same
    return isinstance(error, OperationalError | InterfaceError)


def is_of_a_user(error: Exception) -> bool:
    """Tell whether an error may come from one user's records, and from the same ones when it is tried again."""
    if isinstance(error, DBAPIError):
        return not is_outage(error) and _sqlstate(error) not in (*_CONFLICTS, *_TIMEOUTS)
    return isinstance(error, _OWN_FAULTS)


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
