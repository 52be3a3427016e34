"""A directory of record files, read row by row.

Everything that a file can do wrong becomes RecordsRefused, with the file, the line (physical, counted from 1;
of a row with quoted newlines its first), the column and the value in its sentence and in its data.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

from sqlalchemy import Table

from jobs.errors import RecordsRefused
from jobs.records.fileformat import COLUMN_FORMATS, Row, shorten
from jobs.records.tables import RECORD_FORMAT

SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class RecordFile:
    """The file of one table."""

    table: Table
    path: Path

    def refused(
        self, problem: str, *, line: int | None = None, column: str | None = None, value: str | None = None
    ) -> RecordsRefused:
        """Make the error that names a place in this file; the problem ends with its mend."""
        return refused(self.path.name, problem, line=line, column=column, value=value)


def refused(
    file: str,
    problem: str,
    *,
    line: int | None = None,
    column: str | None = None,
    value: str | None = None,
) -> RecordsRefused:
    """Make the error that names a place in a file of records; the problem ends with its mend."""
    shown = None if value is None else shorten(value)
    place = shorten(file) if line is None else f"{shorten(file)}:{line}"
    named = "" if column is None else f" column {shorten(column)!r}:"
    given = "" if shown is None else f" value {shown!r}"
    return RecordsRefused(
        f"{place}:{named}{given} {problem}", {"file": file, "line": line, "column": column, "value": shown}
    )


def record_files(directory: Path) -> tuple[RecordFile, ...]:
    """Find the file of every table, in the order in which they can be loaded.

    Raises:
        RecordsRefused: a file is missing, there twice, or of no table.

    """
    names = _csv_names(directory)
    known = {table.name + suffix for table in RECORD_FORMAT for suffix in SUFFIXES}
    for name in names:
        if name not in known:
            raise refused(name, "is no file of the record format; move it elsewhere")
    return tuple(_record_file(directory, table, names) for table in RECORD_FORMAT)


def _csv_names(directory: Path) -> list[str]:
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError as error:
        raise refused(
            str(directory), f"cannot be listed ({error.strerror}); give a directory of record files"
        ) from error
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def _record_file(directory: Path, table: Table, names: list[str]) -> RecordFile:
    plain, compressed = (table.name + suffix for suffix in SUFFIXES)
    if plain in names and compressed in names:
        raise refused(compressed, f"stands beside {plain}; remove one of the two")
    if plain not in names and compressed not in names:
        raise refused(plain, f"is missing, plain or as {compressed}; add it, with only the header if there are no rows")
    return RecordFile(table, directory / (plain if plain in names else compressed))


def read_batches(file: RecordFile, size: int) -> Iterator[tuple[list[int], list[Row]]]:
    """Read a file in batches of up to `size` rows: the line of each row, and the rows.

    Raises:
        RecordsRefused: the file cannot be read, or breaks the format.

    """
    return _Reader(file).batches(size)


class _Reader:
    """Reads one file and knows at which line it stands."""

    def __init__(self, file: RecordFile) -> None:
        self.file = file
        self.columns = COLUMN_FORMATS[file.table]
        self.places: list[int] = []
        self.line = 1

    def batches(self, size: int) -> Iterator[tuple[list[int], list[Row]]]:
        with self._open() as stream:
            lines = csv.reader(stream, strict=True)
            self._find_columns(next(lines, None))
            self.line = lines.line_num + 1
            while True:
                starts: list[int] = []
                batch: list[list[str]] = []
                for fields in islice(lines, size):
                    starts.append(self.line)
                    batch.append(fields)
                    self.line = lines.line_num + 1
                if not batch:
                    return
                yield starts, self._parse(starts, batch)

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        """Open the file; bytes that are no UTF-8 become surrogates, so that their column can be named."""
        path = self.file.path
        try:
            with (
                gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as raw,
                TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
            ):
                yield stream
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._refused(f"the gzip file is broken or cut off ({error}); write or copy it again") from error
        except csv.Error as error:
            raise self._refused(f"the line is no CSV ({error}); mend its quotes") from error
        except OSError as error:
            raise self.file.refused(f"cannot be read ({error.strerror}); check the file") from error

    def _find_columns(self, header: list[str] | None) -> None:
        wanted = [column.name for column in self.columns]
        expected = f"the columns are {','.join(wanted)}"
        if not header:
            raise self._refused(f"the header is missing; {expected}")
        for name in header:
            if name not in wanted:
                raise self._refused(f"is none of table {self.file.table.name}; {expected}", name)
            if header.count(name) > 1:
                raise self._refused(f"stands in the header twice; {expected}", name)
        for name in wanted:
            if name not in header:
                raise self._refused(f"is missing; {expected}", name)
        self.places = [header.index(name) for name in wanted]

    def _parse(self, starts: list[int], batch: list[list[str]]) -> list[Row]:
        """Parse column by column, which is fast; what is wrong is then sought row by row."""
        if any(len(fields) != len(self.columns) for fields in batch):
            self._refuse_first_wrong(starts, batch)
        texts = list(zip(*batch, strict=True))
        columns = zip(self.columns, self.places, strict=True)
        try:
            values = [list(map(column.parse, texts[place])) for column, place in columns]
        except ValueError:
            self._refuse_first_wrong(starts, batch)
            raise
        return list(zip(*values, strict=True))

    def _refuse_first_wrong(self, starts: list[int], batch: list[list[str]]) -> None:
        for self.line, fields in zip(starts, batch, strict=True):
            self._refuse_wrong(fields)

    def _refuse_wrong(self, fields: list[str]) -> None:
        if len(fields) != len(self.columns):
            raise self._refused(_wrong_width(len(fields), len(self.columns)))
        for column, place in zip(self.columns, self.places, strict=True):
            try:
                column.parse(fields[place])
            except ValueError:
                problem = column.complaint(fields[place])
                raise self._refused(problem, column.name, fields[place]) from None

    def _refused(self, problem: str, column: str | None = None, value: str | None = None) -> RecordsRefused:
        return self.file.refused(problem, line=self.line, column=column, value=value)


def _wrong_width(found: int, wanted: int) -> str:
    if not found:
        return "the line is blank; remove it"
    fields = "field" if found == 1 else "fields"
    return f"the line has {found} {fields} and the header {wanted}; mend its commas and quotes"
