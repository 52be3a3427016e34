"""One database, SQLite or PostgreSQL: connections, transactions, its clock.

Reading transactions see one snapshot. Writing transactions take SQLite's write lock first, so that they wait
for each other instead of failing; on PostgreSQL they run at the isolation that the caller asks for.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from sqlite3 import SQLITE_BUSY, SQLITE_OK
from sqlite3 import Connection as SqliteConnection
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Text,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    literal_column,
    make_url,
    select,
    true,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.sql.elements import ColumnElement

from jobs.errors import DatabaseUnavailable, shown
from jobs.schema import UtcDateTime

if TYPE_CHECKING:  # SQLite needs no driver of PostgreSQL, and a command starts the sooner
    from psycopg import Connection as PostgresConnection

Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """A database by its URL; connects when first used.

    Args:
        url: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.
        busy_seconds: how long a write waits for SQLite's lock, and a connection for PostgreSQL to answer.
        idle_seconds: how long PostgreSQL lets a transaction idle before it ends the connection, so that a process
            that freezes inside one holds no lock for ever; without end unless given.

    Raises:
        DatabaseUnavailable: the URL names no database that is supported.

    """

    def __init__(self, url: str, busy_seconds: float = 30, idle_seconds: float | None = None) -> None:
        self.engine = _engine(url, busy_seconds)
        if idle_seconds is not None and self.dialect == "postgresql":
            event.listen(self.engine, "connect", partial(_limit_idling, seconds=idle_seconds))

    @property
    def dialect(self) -> str:
        """The kind of database: `sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def address(self) -> str:
        """The URL as its user gave it, without a password."""
        url = self.engine.url
        return url.set(drivername=url.get_backend_name()).render_as_string()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read over one snapshot; writes nothing."""
        options: dict[str, Any] = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.dialect == "postgresql" else {}
        )
        with self._connect() as connection, connection.execution_options(**options).begin():
            yield connection

    @contextmanager
    def write(self, isolation: Isolation = "READ COMMITTED") -> Iterator[Connection]:
        """One writing transaction: committed at the end, rolled back on an error."""
        options: dict[str, Any] = (
            {"isolation_level": isolation} if self.dialect == "postgresql" else {"takes_write_lock": True}
        )
        with self._connect() as connection, connection.execution_options(**options).begin():
            yield connection

    @property
    def missing_file(self) -> bool:
        """Whether this is SQLite in a file that is not there; connecting would make it."""
        file = self.engine.url.database or ":memory:"
        return self.dialect == "sqlite" and not file.startswith((":memory:", "file:")) and not Path(file).exists()

    def close(self) -> None:
        """Close the connections that wait for use."""
        self.engine.dispose()

    def forget_connections(self) -> None:
        """After a fork: leave the parent's connections alone and open others."""
        self.engine.dispose(close=False)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except DBAPIError as error:
            mend = "check the path and who may write there" if self.dialect == "sqlite" else _MEND_SERVER
            raise DatabaseUnavailable(
                f"the database {self.address} is out of reach ({first_line(error)}); {mend}"
            ) from error
        with connection:
            yield connection


_APPLICATION = "training-reset"
"""How PostgreSQL names our sessions unless the URL does, so that our own load can be told from that of others."""
_MEND_SERVER = "check the URL and that the server runs"


def first_line(error: DBAPIError) -> str:
    """Give the database's own reason in one line, without SQLAlchemy's additions."""
    return str(error.orig).strip().partition("\n")[0]


def is_in_transaction(connection: Connection) -> bool:
    """Tell whether a transaction is still there after a statement failed: a trigger can make SQLite end it."""
    driver = connection.connection.driver_connection
    return not isinstance(driver, SqliteConnection) or driver.in_transaction


def database_now(dialect: str) -> ColumnElement[datetime]:
    """Give the database's clock as a column of its dialect, so that no worker's clock counts."""
    text = "clock_timestamp()" if dialect == "postgresql" else "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    return literal_column(text, UtcDateTime)


def database_later(dialect: str, seconds: float) -> ColumnElement[datetime]:
    """Give what the database's clock will show so many seconds from now, without asking for the time first."""
    now = database_now(dialect)
    if dialect == "postgresql":
        return now.op("+", return_type=UtcDateTime())(func.make_interval(0, 0, 0, 0, 0, 0, seconds))
    return func.strftime("%Y-%m-%d %H:%M:%f000", now, f"{seconds:.3f} seconds", type_=UtcDateTime)


def read_now(connection: Connection) -> datetime:
    """Read the database's clock."""
    now: datetime = connection.execute(select(database_now(connection.dialect.name))).scalar_one()
    return now


def prepare_statements(connection: Connection, seconds: float, deadline: datetime) -> None:
    """Let PostgreSQL plan each statement of this transaction for the ids that it is given, and end it in time.

    It ends a statement, or the idle transaction itself, after so many seconds; so a worker that freezes inside its
    transaction cannot hold locks for ever. SQLite has no such timeout.

    Args:
        connection: at the beginning of its transaction.
        seconds: how long a statement may take.
        deadline: when the transaction should be over, by the database's clock; the time left bounds a statement too.

    """
    if connection.dialect.name == "postgresql":
        left = extract("epoch", literal(deadline, UtcDateTime) - database_now("postgresql")) * 1000
        limit = func.greatest(1, func.least(int(seconds * 1000), cast(left, BigInteger)))  # 0 would be without end
        settings: list[tuple[str, ColumnElement[str]]] = [
            (name, cast(limit, Text)) for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        ]
        # A plan for whatever ids may come would be one for ten of them.
        settings.append(("plan_cache_mode", literal("force_custom_plan")))
        connection.execute(select(*(func.set_config(name, value, true()) for name, value in settings)))


def _engine(url: str, busy_seconds: float) -> Engine:
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername]
    except (ArgumentError, KeyError, NoSuchModuleError, ValueError) as error:
        raise DatabaseUnavailable(
            f"the database URL {shown(url)!r} is none that this program knows; "
            "give sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from error
    parsed = parsed.set(drivername=driver)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": busy_seconds})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    from jobs.idarrays import teach_id_arrays  # noqa: PLC0415 - SQLite needs no driver of PostgreSQL

    options = {"connect_timeout": max(2, int(busy_seconds)), "fallback_application_name": _APPLICATION}
    engine = create_engine(parsed, connect_args=options)
    event.listen(engine, "connect", teach_id_arrays)
    return engine


def _limit_idling(connection: "PostgresConnection[Any]", _record: object, *, seconds: float) -> None:
    connection.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (f"{int(seconds * 1000)}",)
    )
    connection.commit()


def _prepare_sqlite(connection: SqliteConnection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("takes_write_lock", False):
        _take_write_lock(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _take_write_lock(connection: Connection) -> None:
    """Wait for SQLite's write lock, looking often.

    SQLite itself would soon look only ten times a second, and find the lock taken each time while another process
    runs one chunk after the other.
    """
    busy_milliseconds: int = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    until = time.monotonic() + busy_milliseconds / 1000
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOOKS_MILLISECONDS}")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if not is_busy(error) or time.monotonic() >= until:
                    raise
            else:
                return
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {busy_milliseconds}")


def is_busy(error: OperationalError) -> bool:
    """Tell whether SQLite's lock was with somebody else all the time."""
    return getattr(error.orig, "sqlite_errorcode", SQLITE_OK) & 0xFF == SQLITE_BUSY


_LOOKS_MILLISECONDS = 18
"""SQLite looks 1, 3, 8 and 18 ms after it first found its lock taken."""
