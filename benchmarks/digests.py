"""Whether contenders leave the same records: a number for each table and each archive, whatever the order of rows."""

import sqlite3
import zlib
from contextlib import closing

import psycopg

from jobs.records.tables import ARCHIVE

Digests = dict[str, tuple[int, int]]
"""For each table its rows and the sum of their hashes."""


def digests(url: str, archive: str, condition: str = "TRUE") -> Digests:
    """Read the records and what was put aside.

    Args:
        url: the database.
        archive: what the names of the tables begin with that hold what was put aside.
        condition: which users' rows to look at.

    """
    columns = {table.name: [column.name for column in table.columns] for table in ARCHIVE}
    wanted = {name: (name, names) for name, names in columns.items()}
    wanted |= {f"put aside from {name}": (f"{archive}{name}", names) for name, names in columns.items()}
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return {what: _of_sqlite(connection, *where, condition) for what, where in wanted.items()}
    with psycopg.connect(url) as server:
        return {what: _of_postgres(server, *where, condition) for what, where in wanted.items()}


def _of_postgres(connection: psycopg.Connection, table: str, columns: list[str], condition: str) -> tuple[int, int]:
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return 0, 0
    row = connection.execute(
        f"SELECT count(*), coalesce(sum(hashtextextended(ROW({', '.join(columns)})::text, 0)::numeric), 0) "
        f"FROM {table} WHERE {condition}"
    ).fetchone()
    return int(row[0]), int(row[1])  # type: ignore[index]


def _of_sqlite(connection: sqlite3.Connection, table: str, columns: list[str], condition: str) -> tuple[int, int]:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
        return 0, 0
    count = total = 0
    for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {condition}"):
        count += 1
        total += zlib.crc32(repr(row).encode())
    return count, total
