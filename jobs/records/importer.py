"""Import a directory of record files, all or nothing, in one transaction.

Reads and loads in batches; in memory stay one batch and the ids of what other tables refer to.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection, Table, UniqueConstraint

from jobs.database import Database
from jobs.errors import RecordsRefused
from jobs.records.fileformat import Row, Value
from jobs.records.loading import BATCH_ROWS, RowRefused, begin_loading, finish_loading, load_rows
from jobs.records.recordfiles import RecordFile, read_batches, record_files
from jobs.records.tables import RECORD_FORMAT

Progress = Callable[[str, int], None]
"""Told a table's name and how many of its rows are loaded by now."""


def import_records(
    database: Database,
    directory: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fill the database with the records of a directory; give how many rows each table got.

    The id of no attempt, live or archived, will be given to a new one afterwards.

    Args:
        database: with this version's schema.
        directory: of the record format, one file a table.
        replace: delete the records that are there first; archive and jobs stay.
        progress: called after each batch.

    Raises:
        RecordsRefused: a file is missing or wrong; nothing was imported.
        Conflict: the database holds records and `replace` was not said.

    """
    files = record_files(directory)
    with database.write() as connection:
        begin_loading(connection, replace=replace)
        known = _Known()
        rows = {file.table.name: _import_file(connection, file, known, progress) for file in files}
        finish_loading(connection)
    return rows


@dataclass(frozen=True, slots=True)
class _Reference:
    place: int
    column: str
    target: str


def _references(table: Table) -> tuple[_Reference, ...]:
    return tuple(
        _Reference(place, column.name, key.column.table.name)
        for place, column in enumerate(table.columns)
        for key in column.foreign_keys
    )


_REFERENCES = {table: _references(table) for table in RECORD_FORMAT}
_TARGETS = {reference.target for references in _REFERENCES.values() for reference in references}


@dataclass(slots=True)
class _Known:
    """The ids read so far of every table that others refer to."""

    ids: dict[str, set[Value]] = field(default_factory=lambda: {target: set() for target in _TARGETS})

    def add(self, table: Table, rows: list[Row]) -> None:
        if table.name in self.ids:
            self.ids[table.name].update(row[0] for row in rows)

    def check(self, file: RecordFile, lines: list[int], rows: list[Row]) -> None:
        """Refuse the first row that refers to what is not there."""
        for reference in _REFERENCES[file.table]:
            ids, place = self.ids[reference.target], reference.place
            for line, row in zip(lines, rows, strict=True):
                if row[place] not in ids:
                    raise file.refused(
                        f"refers to no row of table {reference.target}; add that row or remove this one",
                        line=line,
                        column=reference.column,
                        value=str(row[place]),
                    )


def _import_file(connection: Connection, file: RecordFile, known: _Known, progress: Progress | None) -> int:
    done = 0
    for lines, rows in read_batches(file, BATCH_ROWS):
        known.check(file, lines, rows)
        try:
            load_rows(connection, file.table, rows)
        except RowRefused as error:
            _explain(file, lines[error.index], rows[error.index], error)
        known.add(file.table, rows)
        done += len(rows)
        if progress is not None:
            progress(file.table.name, done)
    return done


def _explain(file: RecordFile, line: int, row: Row, error: RowRefused) -> NoReturn:
    """Find the earlier row with the same key, which the database does not tell, by reading the file again."""
    for key in _unique_keys(file.table):
        earlier = _first_line_with(file, key, row)
        if earlier < line:
            raise _duplicate(file, line, key, row, earlier) from error
    raise file.refused(f"the database refuses the row ({error.reason}); mend it", line=line) from error


def _unique_keys(table: Table) -> list[list[int]]:
    """Give the places of the columns of each key; the primary key first."""
    places = {column.name: place for place, column in enumerate(table.columns)}
    others = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    return [[places[column.name] for column in key.columns] for key in (table.primary_key, *others)]


def _first_line_with(file: RecordFile, key: list[int], row: Row) -> int:
    wanted = [row[place] for place in key]
    return next(
        line
        for lines, rows in read_batches(file, BATCH_ROWS)
        for line, other in zip(lines, rows, strict=True)
        if [other[place] for place in key] == wanted
    )


def _duplicate(file: RecordFile, line: int, key: list[int], row: Row, earlier: int) -> RecordsRefused:
    names = [column.name for column in file.table.columns]
    return file.refused(
        f"was given before, in line {earlier}; remove one of the two rows",
        line=line,
        column=",".join(names[place] for place in key),
        value=",".join(str(row[place]) for place in key),
    )
