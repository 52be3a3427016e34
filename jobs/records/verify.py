"""Check every rule that the record tables must hold, also where constraints were switched off or dropped.

Keys are unique, references lead somewhere, values have the type and the range of their column, and the next
attempt id lies above every id ever given. What courses say is never compared with what their chapters say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, UniqueConstraint, func, select

from jobs.database import Database
from jobs.records.loading import BATCH_ROWS, hold_still, next_attempt_id
from jobs.records.tables import ARCHIVE, RECORD_FORMAT, attempts
from jobs.records.valuerules import as_text, broken_value


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place where a rule is broken.

    Attributes:
        table: its name.
        key: the row's primary key, such as `user_id=5, chapter_id=7`; empty if it is about the whole table.
        column: one name, or several with commas where a key has several.
        value: what stands there, as text; None is null.
        problem: which rule it breaks.

    """

    table: str
    key: str
    column: str
    value: str | None
    problem: str

    def __str__(self) -> str:
        """Say it in one line."""
        place = f"{self.table} {self.key}".rstrip()
        shown = "null" if self.value is None else repr(self.value)
        return f"{place}: column {self.column!r}: value {shown} {self.problem}"


def verify_records(database: Database) -> Iterator[Finding]:
    """Check all records in one snapshot; give each broken rule, table by table and column by column.

    The transaction lives as long as the iterator.
    """
    with database.read() as connection:
        hold_still(connection)
        for table in RECORD_FORMAT:
            yield from _duplicates(connection, table)
            for column in table.columns:
                yield from _broken_values(connection, table, column)
                yield from _dangling(connection, table, column)
        yield from _reusable_attempt_ids(connection)


def _texts(connection: Connection, columns: list[Column[Any]]) -> list[ColumnElement[Any]]:
    """Select columns as they are stored: a broken value may not come through its column's type."""
    return [as_text(column, connection.dialect.name).label(f"text_{n}") for n, column in enumerate(columns)]


def _key(columns: list[Column[Any]], values: list[str | None]) -> str:
    pairs = zip(columns, values, strict=True)
    return ", ".join(f"{column.name}={'null' if value is None else value}" for column, value in pairs)


def _rows_where(
    connection: Connection, table: Table, column: Column[Any], broken: ColumnElement[bool], problem: str
) -> Iterator[Finding]:
    key = list(table.primary_key.columns)
    statement = select(*_texts(connection, [*key, column])).where(broken).order_by(*key)
    for row in connection.execution_options(yield_per=BATCH_ROWS).execute(statement):
        *values, value = row
        yield Finding(table=table.name, key=_key(key, values), column=column.name, value=value, problem=problem)


def _broken_values(connection: Connection, table: Table, column: Column[Any]) -> Iterator[Finding]:
    if not column.nullable:
        yield from _rows_where(connection, table, column, column.is_(None), "is null and must not be")
    broken, problem = broken_value(column, connection.dialect.name)
    yield from _rows_where(connection, table, column, broken, problem)


def _dangling(connection: Connection, table: Table, column: Column[Any]) -> Iterator[Finding]:
    for key in column.foreign_keys:
        there = select(1).select_from(key.column.table).where(key.column == column).exists()
        problem = f"refers to no row of table {key.column.table.name}"
        yield from _rows_where(connection, table, column, column.is_not(None) & ~there, problem)


def _duplicates(connection: Connection, table: Table) -> Iterator[Finding]:
    others = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    for key in (table.primary_key, *others):
        columns = list(key.columns)
        statement = (
            select(*_texts(connection, columns), func.count())
            .where(*(column.is_not(None) for column in columns))
            .group_by(*columns)
            .having(func.count() > 1)
            .order_by(*columns)
        )
        for row in connection.execute(statement):
            *values, count = row
            yield Finding(
                table=table.name,
                key=_key(columns, values),
                column=",".join(column.name for column in columns),
                value=",".join(values),
                problem=f"stands in {count} rows and must be unique",
            )


def _reusable_attempt_ids(connection: Connection) -> Iterator[Finding]:
    following = next_attempt_id(connection)
    for table in (attempts, ARCHIVE[attempts]):
        highest = connection.execute(select(func.max(table.c.id))).scalar_one()
        if highest is not None and highest >= following:
            yield Finding(
                table=attempts.name,
                key="",
                column="id",
                value=str(following),
                problem=f"is the next id to be given and must be above {highest} of table {table.name}",
            )
