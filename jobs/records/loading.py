"""Fill the record tables in bulk, within the caller's transaction.

The one module of the record files with a dialect's own SQL: COPY, locks, sequences, statistics.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.errors import ProgramLimitExceeded
from sqlalchemy import Column, Connection, Table, cast, exists, func, insert, select, text
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.exc import DataError, IntegrityError

from jobs.errors import Conflict
from jobs.records.fileformat import Row, Value
from jobs.records.tables import ARCHIVE, RECORD_FORMAT, attempts

BATCH_ROWS = 10_000
"""How many rows a caller should give at once: few enough to hold, enough to pay for a round trip."""

_ONE_ROW_ERRORS = (IntegrityError, DataError, psycopg.IntegrityError, psycopg.DataError, ProgramLimitExceeded)
_ALL_TABLES = ", ".join(table.name for table in RECORD_FORMAT)


class RowRefused(Exception):
    """The database took all rows of a batch up to this one.

    Args:
        index: the place of the refused row in its batch, from 0.
        reason: the database's own, in one line.

    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"row {index}: {reason}")
        self.index = index
        self.reason = reason


def begin_loading(connection: Connection, *, replace: bool) -> None:
    """Keep every other writer away until the transaction ends, and make sure that no records are there.

    Args:
        connection: in a writing transaction, before its first statement.
        replace: delete the records that are there, live ones only: archive and jobs stay.

    Raises:
        Conflict: the database holds records and they are not to be replaced.

    """
    if connection.dialect.name == "postgresql":
        mode = "ACCESS EXCLUSIVE" if replace else "SHARE ROW EXCLUSIVE"
        connection.execute(text(f"LOCK TABLE {_ALL_TABLES} IN {mode} MODE"))
    if replace:
        _delete_records(connection)
        return
    for table in RECORD_FORMAT:
        if connection.execute(select(exists().select_from(table))).scalar_one():
            raise Conflict(
                f"the database already holds records ({table.name}); use an empty one, or import with --replace",
                {"table": table.name},
            )


def hold_still(connection: Connection) -> None:
    """Before a snapshot is taken, keep a replacing import away until it has been read.

    PostgreSQL empties a table at once for every snapshot, older ones too.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {_ALL_TABLES} IN ACCESS SHARE MODE"))


def load_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Load a batch of rows, wholly or not at all.

    Raises:
        RowRefused: the database refused one of them: its key is taken, or it holds too much.

    """
    load = _copy if connection.dialect.name == "postgresql" else _insert
    try:
        with connection.begin_nested():
            load(connection, table, rows)
    except _ONE_ROW_ERRORS as error:
        index = _first_refused(connection, table, rows, load)
        if index is None:
            raise
        raise RowRefused(index, str(getattr(error, "orig", error)).partition("\n")[0]) from error


def finish_loading(connection: Connection) -> None:
    """Lift the next attempt id above every id ever seen and refresh the planner's statistics."""
    _lift_next_attempt_id(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ANALYZE {_ALL_TABLES}"))
    else:
        connection.execute(text("PRAGMA analysis_limit = 1000"))
        connection.execute(text("ANALYZE"))


def _delete_records(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Deleting row by row would look up each chapter in tables that no index leads into by chapter.
        connection.execute(text(f"TRUNCATE {_ALL_TABLES}"))
        return
    for table in reversed(RECORD_FORMAT):
        connection.execute(table.delete())


_Load = Callable[[Connection, Table, Sequence[Row]], None]


def _first_refused(connection: Connection, table: Table, rows: Sequence[Row], load: _Load) -> int | None:
    index = 0
    try:
        with connection.begin_nested():
            for index, row in enumerate(rows):  # noqa: B007 - read where the loop is left by an error
                load(connection, table, [row])
    except _ONE_ROW_ERRORS:
        return index
    return None


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(column.name for column in table.columns)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert without SQLAlchemy's work for each row; its types still make the stored values."""
    names = [column.name for column in table.columns]
    statement = str(insert(table).compile(dialect=connection.dialect, column_keys=names))
    columns = zip(*rows, strict=True)
    stored = [_stored(connection, column, values) for column, values in zip(table.columns, columns, strict=True)]
    connection.exec_driver_sql(statement, list(zip(*stored, strict=True)))


def _stored(connection: Connection, column: Column[Any], values: Iterable[Value]) -> Iterable[Value]:
    dialect = connection.dialect
    process = column.type.dialect_impl(dialect).bind_processor(dialect)
    return values if process is None else map(lru_cache(maxsize=None)(process), values)


def next_attempt_id(connection: Connection) -> int:
    """Read the id that the next attempt will get; on SQLite the least that it can get."""
    if connection.dialect.name == "postgresql":
        last = f"SELECT last_value + is_called::int::numeric FROM {_sequence(connection)}"  # noqa: S608 - a name from the catalog
        return int(connection.execute(text(last)).scalar_one())
    last = "SELECT seq FROM sqlite_sequence WHERE name = 'attempts'"
    return int(connection.execute(text(last)).scalar() or 0) + 1


def _sequence(connection: Connection) -> str:
    name: str = connection.execute(select(func.pg_get_serial_sequence("attempts", "id"))).scalar_one()
    return name


def _highest_attempt(connection: Connection) -> int:
    """Read the highest id of any attempt, live or archived; 0 where there is none."""
    highest = (connection.execute(select(func.max(t.c.id))).scalar_one() for t in (attempts, ARCHIVE[attempts]))
    return max(number or 0 for number in highest)


def _lift_next_attempt_id(connection: Connection) -> None:
    highest = _highest_attempt(connection)
    if highest < next_attempt_id(connection):
        return
    if connection.dialect.name == "postgresql":
        sequence = cast(_sequence(connection), REGCLASS)
        connection.execute(select(func.setval(sequence, highest)))
        return
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'attempts'"))
    connection.execute(
        text("INSERT INTO sqlite_sequence (name, seq) VALUES ('attempts', :highest)"), {"highest": highest}
    )
