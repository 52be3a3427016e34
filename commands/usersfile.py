"""Read a file that names users: one id or login a line, or CSV with a column `id` or `login`."""

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from commands.words import split_users
from jobs.errors import InputRefused

_MOST_SHOWN = 20


def read_users_file(name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Read ids and logins from a file, or from standard input where the name is `-`.

    Raises:
        InputRefused: the file cannot be read, is no text, holds nobody, or has no column to read.

    """
    try:
        if name == "-":
            ids, logins = _read(sys.stdin, "standard input")
        else:
            with Path(name).open(encoding="utf-8-sig", newline="") as file:
                ids, logins = _read(file, name)
    except OSError as error:
        raise InputRefused(f"the users file {name} cannot be read ({error.strerror}); check its name") from error
    except UnicodeDecodeError as error:
        raise InputRefused(f"the users file {name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if not ids and not logins:
        raise InputRefused(f"the users file {name} names nobody; give one id or login a line")
    return ids, logins


def _read(file: TextIO, name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    lines = _lines(file, name)
    first = next(lines, None)
    if first is None:
        return (), ()
    header = [column.strip().lower() for column in next(csv.reader([first]), [])]
    for column in ("id", "login"):
        if column in header:
            values = list(_column(lines, header.index(column), name))
            return _by_column(values, column, name)
    if len(header) > 1:
        raise InputRefused(f"the users file {name} has columns but none is called id or login; name one of them so")
    return split_users((first.strip(), *(line.strip() for line in lines)))


def _lines(file: TextIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise InputRefused(f"the users file {name}, line {number}, holds a NUL byte; give a text file")
        if line.strip():
            yield line


def _column(lines: Iterable[str], position: int, name: str) -> Iterator[str]:
    for row in csv.reader(lines):
        if len(row) <= position or not row[position].strip():
            raise InputRefused(f"the users file {name} has a row without a user: {','.join(row)[:80]!r}; complete it")
        yield row[position].strip()


def _by_column(values: list[str], column: str, name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if column == "login":
        return (), tuple(values)
    ids, others = split_users(tuple(values))
    if others:
        shown = ", ".join(map(repr, others[:_MOST_SHOWN])) + (
            f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
        )
        raise InputRefused(f"the users file {name} has ids that are no whole numbers: {shown}; correct them")
    return ids, ()
