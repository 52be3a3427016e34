"""Export the records to a directory of files in canonical form, from one snapshot.

Canonical means: rows in primary-key order and one text for each value, so that equal records give equal
bytes, compressed or not. The files get their names when all of them are complete and on disk.
"""

import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TextIO, cast

from sqlalchemy import Column, Connection, Dialect, Table, select, type_coerce
from sqlalchemy.exc import DataError
from sqlalchemy.types import NullType

from jobs.database import Database
from jobs.errors import Conflict, InputRefused
from jobs.records.fileformat import COLUMN_FORMATS, ColumnFormat, shorten
from jobs.records.loading import BATCH_ROWS, hold_still
from jobs.records.tables import RECORD_FORMAT

_UNFINISHED = ".unfinished"
_WRONG_VALUE = (ValueError, TypeError, AttributeError)

Values = Sequence[Any]


def export_records(database: Database, directory: Path, *, compress: bool = False) -> dict[str, int]:
    """Write the record files of all records; give how many rows each table has.

    Args:
        database: with this version's schema.
        directory: an empty one, or one that is made; the one above it must exist.
        compress: write `.csv.gz` instead of `.csv`.

    Raises:
        InputRefused: the directory is not empty or cannot be written; no file was left behind.
        Conflict: a value in the database has no place in the record format.

    """
    suffix = ".csv.gz" if compress else ".csv"
    with (
        _new_files(directory, [table.name + suffix for table in RECORD_FORMAT]) as files,
        database.read() as connection,
    ):
        hold_still(connection)
        return {
            table.name: _write_table(connection, table, file, compress=compress)
            for table, file in zip(RECORD_FORMAT, files, strict=True)
        }


@contextmanager
def _new_files(directory: Path, names: list[str]) -> Iterator[list[Path]]:
    """Give temporary names in the directory; rename them at the end, or leave nothing behind on an error."""
    made = _prepare(directory)
    unfinished = [directory / (name + _UNFINISHED) for name in names]
    try:
        yield unfinished
        for name, path in zip(names, unfinished, strict=True):
            path.rename(directory / name)
        _sync_directory(directory)
    except BaseException as error:
        for path in (*unfinished, *(directory / name for name in names)):
            path.unlink(missing_ok=True)
        if made:
            directory.rmdir()
        if isinstance(error, OSError):
            raise _unwritable(directory, error) from error
        raise


def _prepare(directory: Path) -> bool:
    """Make sure that the directory is there and empty; give whether it was made."""
    try:
        if not directory.exists():
            directory.mkdir()
            return True
        if next(directory.iterdir(), None) is not None:
            raise InputRefused(
                f"the directory {str(directory)!r} is not empty; give an empty or a new one",
                {"directory": str(directory)},
            )
    except OSError as error:
        raise _unwritable(directory, error) from error
    return False


def _unwritable(directory: Path, error: OSError) -> InputRefused:
    return InputRefused(
        f"the directory {str(directory)!r} cannot be written ({error.strerror}); give another one",
        {"directory": str(directory)},
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_table(connection: Connection, table: Table, path: Path, *, compress: bool) -> int:
    count = 0
    with path.open("xb") as raw:
        with _text(raw, compress=compress) as stream:
            stream.write(",".join(column.name for column in table.columns) + "\n")
            for renderers, rows in _batches(connection, table):
                stream.writelines(f"{line}\n" for line in _render(table, renderers, rows))
                count += len(rows)
        raw.flush()
        os.fsync(raw.fileno())
    return count


@contextmanager
def _text(raw: IO[bytes], *, compress: bool) -> Iterator[TextIO]:
    """Write text to an open file, compressed without a time or a name, which would differ each time."""
    if not compress:
        stream = TextIOWrapper(raw, encoding="utf-8", newline="")
        yield stream
        stream.detach()
        return
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
        TextIOWrapper(cast("IO[bytes]", packed), encoding="utf-8", newline="") as stream,
    ):
        yield stream


_Renderer = Callable[[Any], str]


def _batches(connection: Connection, table: Table) -> Iterator[tuple[list[_Renderer], Sequence[Values]]]:
    """Read the rows in order, each value as the driver gives it, with what makes the texts of each column."""
    values = (type_coerce(column, NullType()) for column in table.columns)
    statement = select(*values).order_by(*table.primary_key.columns)
    options = {"yield_per": BATCH_ROWS, "stream_results": True}
    try:
        with connection.execution_options(**options).execute(statement) as result:
            stored_as = [description[1] for description in result.cursor.description]
            for rows in result.partitions():
                yield _renderers(connection.dialect, table, stored_as), rows
    except (ValueError, DataError) as error:
        raise _inexpressible(table, None) from error


def _renderers(dialect: Dialect, table: Table, stored_as: Sequence[object]) -> list[_Renderer]:
    """Give what turns a driver's value into its text, for each column; equal values are turned once."""
    columns = zip(table.columns, COLUMN_FORMATS[table], stored_as, strict=True)
    return [lru_cache(maxsize=None, typed=True)(_renderer(dialect, *column)) for column in columns]


def _renderer(dialect: Dialect, column: Column[Any], known: ColumnFormat, stored_as: object) -> _Renderer:
    process = column.type.dialect_impl(dialect).result_processor(dialect, stored_as)
    return known.render if process is None else lambda value: known.render(process(value))


def _render(table: Table, renderers: Sequence[_Renderer], rows: Sequence[Values]) -> Iterable[str]:
    """Render column by column, which is fast; what is wrong is then sought row by row."""
    try:
        texts = [list(map(render, values)) for render, values in zip(renderers, zip(*rows, strict=True), strict=True)]
    except _WRONG_VALUE as error:
        raise _inexpressible(table, _first_wrong(table, renderers, rows)) from error
    return map(",".join, zip(*texts, strict=True))


def _first_wrong(table: Table, renderers: Sequence[_Renderer], rows: Sequence[Values]) -> str | None:
    names = [column.name for column in table.columns]
    for row in rows:
        for name, render, value in zip(names, renderers, row, strict=True):
            try:
                render(value)
            except _WRONG_VALUE:
                named = dict(zip(names, row, strict=True))
                key = ", ".join(f"{part.name}={named[part.name]}" for part in table.primary_key.columns)
                return f"row {key}: column {name!r}: value {shorten(str(value))!r}"
    return None


def _inexpressible(table: Table, place: str | None) -> Conflict:
    return Conflict(
        f"table {table.name}: {place or 'some value'} has no place in a record file; "
        "run 'training-reset records verify' and mend it",
        {"table": table.name, "place": place},
    )
