"""Read a file that names users: one id or login a line, or CSV with a column `id` or `login`.

It is read line by line and each word is kept once, so that memory grows with the users, not with the file.
"""

import csv
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TextIO

from commands.words import split_users
from jobs.errors import InputRefused, shown

_MOST_SHOWN = 20
_LONGEST_LINE = 10_000


def read_users_file(name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Read ids and logins from a file, or from standard input where the name is `-`.

    Raises:
        InputRefused: the file cannot be read, is no text, holds nobody, or has no column to read.

    """
    source = 0 if name == "-" else name
    try:
        with open(source, encoding="utf-8-sig", newline="", closefd=source != 0) as file:
            ids, logins = _read(file, name)
    except OSError as error:
        raise InputRefused(f"the users file {name} cannot be read ({error.strerror}); check its name") from error
    except UnicodeDecodeError as error:
        raise InputRefused(f"the users file {name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputRefused(f"the users file {name} is no CSV ({error}); mend its quotes") from error
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
            values = tuple(dict.fromkeys(_column(lines, header.index(column), name)))
            return _ids_only(values, name) if column == "id" else ((), values)
    if len(header) > 1:
        raise InputRefused(f"the users file {name} has columns but none is called id or login; name one of them so")
    return split_users(tuple(dict.fromkeys(line.strip() for line in chain([first], lines))))


def _lines(file: TextIO, name: str) -> Iterator[str]:
    for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), ""), 1):
        if "\0" in line:
            raise InputRefused(f"the users file {name}, line {number}, holds a NUL byte; give a text file")
        if len(line) == _LONGEST_LINE:
            raise InputRefused(
                f"the users file {name}, line {number}, is longer than {_LONGEST_LINE:,} characters; "
                "give one id or login a line"
            )
        if line.strip():
            yield line


def _column(lines: Iterable[str], position: int, name: str) -> Iterator[str]:
    for row in csv.reader(lines, strict=True):
        if len(row) <= position or not row[position].strip():
            raise InputRefused(f"the users file {name} has a row without a user: {','.join(row)[:80]!r}; complete it")
        yield row[position].strip()


def _ids_only(values: tuple[str, ...], name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    ids, others = split_users(values)
    if others:
        listed = ", ".join(repr(shown(word)) for word in others[:_MOST_SHOWN])
        more = f" and {len(others) - _MOST_SHOWN:,} more" if len(others) > _MOST_SHOWN else ""
        raise InputRefused(
            f"the users file {name} has ids that are no whole numbers: {listed}{more}; correct them",
            {"wrong_ids": list(others)},
        )
    return ids, ()
