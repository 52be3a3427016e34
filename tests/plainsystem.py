"""A whole learning system in memory, read from record files and written to them, slowly and plainly.

It knows the record format as the design words it. It must not know the code under test, nor a database: standard
library only.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TextIO

Row = dict[str, Any]

FORMAT: dict[str, dict[str, type]] = {
    "locations": {"id": int, "name": str},
    "users": {"id": int, "login": str, "name": str, "location_id": int, "access": str},
    "content_roles": {"id": int, "name": str},
    "user_content_roles": {"user_id": int, "content_role_id": int},
    "categories": {"id": int, "name": str},
    "courses": {"id": int, "category_id": int, "name": str},
    "chapters": {"id": int, "name": str},
    "course_chapters": {"course_id": int, "chapter_id": int, "position": int},
    "content_role_courses": {"content_role_id": int, "course_id": int},
    "content_role_chapters": {"content_role_id": int, "chapter_id": int},
    "chapter_progress": {
        "user_id": int,
        "chapter_id": int,
        "status": str,
        "position_seconds": int,
        "started_at": datetime,
        "completed_at": datetime,
        "last_activity_at": datetime,
    },
    "course_progress": {
        "user_id": int,
        "course_id": int,
        "status": str,
        "started_at": datetime,
        "completed_at": datetime,
        "last_activity_at": datetime,
    },
    "attempts": {
        "id": int,
        "user_id": int,
        "chapter_id": int,
        "started_at": datetime,
        "finished_at": datetime,
        "score": float,
        "passed": bool,
    },
}
"""Every table of the record format with its columns, each table after those that it refers to."""

KEYS: dict[str, tuple[str, ...]] = {
    name: ("id",) if "id" in columns else tuple(columns)[:2] for name, columns in FORMAT.items()
}
"""The primary key of each table."""

RECORD_TABLES = {"chapter_progress": "chapter_id", "course_progress": "course_id", "attempts": "id"}
"""The tables that a reset changes, with the column that tells one user's rows apart."""


class System:
    """A whole learning system in memory: its tables, and each user's records at hand."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[int, ...], Row]] = {name: {} for name in FORMAT}
        self._of_user: dict[str, dict[int, dict[int, Row]]] = {name: defaultdict(dict) for name in RECORD_TABLES}
        self._lines: dict[str, dict[tuple[Any, ...], str]] = {name: {} for name in FORMAT}

    def add(self, table: str, **values: object) -> None:
        """Add one row; columns not given are null."""
        row: Row = dict.fromkeys(FORMAT[table]) | values
        assert list(row) == list(FORMAT[table]), f"no such columns in {table}: {values}"
        key = tuple(row[column] for column in KEYS[table])
        assert key not in self.tables[table], f"{table} holds {key} already"
        self.tables[table][key] = row
        if table in RECORD_TABLES:
            self._of_user[table][row["user_id"]][row[RECORD_TABLES[table]]] = row

    def erase_attempt(self, attempt: Row) -> None:
        """Take one attempt away."""
        del self.tables["attempts"][attempt["id"],]
        del self._of_user["attempts"][attempt["user_id"]][attempt["id"]]

    def of_user(self, table: str, user: int) -> dict[int, Row]:
        """Give a user's rows of a record table: by chapter, by course, or by the attempt's id."""
        return self._of_user[table].get(user, {})

    def rows(self, table: str) -> list[Row]:
        """Give copies of a table's rows in the order of their primary keys."""
        return [dict(row) for _, row in sorted(self.tables[table].items(), key=lambda item: item[0])]

    def ids(self, table: str) -> list[int]:
        """Give the ids of a table in order."""
        return sorted(row["id"] for row in self.tables[table].values())

    def chapters_of_courses(self) -> dict[int, set[int]]:
        """Give the chapters of every course, also of a course that holds none."""
        chapters: dict[int, set[int]] = {course: set() for course in self.ids("courses")}
        for link in self.tables["course_chapters"].values():
            chapters[link["course_id"]].add(link["chapter_id"])
        return chapters

    def copy(self) -> Self:
        """Give a system with the same rows that changes apart from this one."""
        other = type(self)()
        for table in FORMAT:
            for row in self.tables[table].values():
                other.add(table, **row)
        return other

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a directory of the record format, each file plain or compressed."""
        system = cls()
        for table, columns in FORMAT.items():
            with _open(directory, table) as file:
                lines = csv.reader(file)
                header = next(lines)
                assert header == list(columns), f"{table} has the columns {header}"
                for line in lines:
                    values = zip(columns.items(), line, strict=True)
                    system.add(table, **{column: _read(kind, text) for (column, kind), text in values})
        return system

    def text(self, table: str) -> str:
        """Write a table canonically: key order, UTC with `Z`, `true` and `false`, shortest numbers."""
        rows = [tuple(row.values()) for _, row in sorted(self.tables[table].items(), key=lambda item: item[0])]
        # Most rows are as they were when last asked for.
        lines = self._lines[table]
        new = [row for row in rows if row not in lines]
        lines.update(zip(new, _written(table, new), strict=True))
        return ",".join(FORMAT[table]) + "\n" + "".join([lines[row] for row in rows])

    def save(self, directory: Path) -> None:
        """Write every table as a plain file of the record format."""
        for table in FORMAT:
            (directory / f"{table}.csv").write_bytes(self.text(table).encode())

    def __repr__(self) -> str:
        lines = [f"  {table} {row}" for table in FORMAT for row in self.rows(table)]
        return "\n".join(["System(", *lines, ")"])


def read_table(directory: Path, table: str) -> str:
    """Give the text of one file of the record format, uncompressed."""
    with _open(directory, table) as file:
        return file.read()


def _open(directory: Path, table: str) -> TextIO:
    plain = directory / f"{table}.csv"
    if plain.exists():
        return plain.open(encoding="utf-8", newline="")
    return gzip.open(f"{plain}.gz", "rt", encoding="utf-8", newline="")


def _read(kind: type, text: str) -> object:
    if not text:
        return None
    if kind is datetime:
        return datetime.fromisoformat(text).astimezone(UTC)
    if kind is bool:
        return {"true": True, "false": False}[text]
    return kind(text)


def _written(table: str, rows: list[tuple[Any, ...]]) -> list[str]:
    columns = zip(*rows, strict=True)
    texts = [_column(kind, values) for kind, values in zip(FORMAT[table].values(), columns, strict=bool(rows))]
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\n").writerows(zip(*texts, strict=True))
    return lines


def _column(kind: type, values: Collection[Any]) -> Collection[Any]:
    if kind is bool:
        return [{True: "true", False: "false", None: None}[value] for value in values]
    if kind is float:
        return [None if value is None else repr(value).removesuffix(".0") for value in values]
    if kind is datetime:
        return [None if value is None else _written_time(value) for value in values]
    return values


@cache
def _written_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
