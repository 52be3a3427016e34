"""The record format as data: how each column's values are written in a file of records and read back.

Derived from the tables, so that the format and the schema cannot part. A value has one canonical text, which
rendering gives; parsing also takes others of the same meaning, such as a time in another zone. Knows nothing
of files or databases.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, Table, Text

from jobs.records.tables import ACCESSES, RECORD_FORMAT, STATUSES
from jobs.schema import MAX_ID, UtcDateTime

MAX_INTEGER: Final = 2**31 - 1
"""The largest number that fits the 32-bit columns."""

Value = bool | int | float | str | datetime | None
Row = tuple[Value, ...]
"""One row, its values in the order of the table's columns."""

ENUMERATIONS = {"access": ACCESSES, "status": STATUSES}
"""The values of each text column that takes only some."""

_LONGEST_ID = len(str(MAX_ID))
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: both directions raise ValueError for what is none of it."""

    name: str
    mend: str
    parse: Callable[[str], Value]
    render: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """How one column is written; both directions raise ValueError for what the column cannot hold."""

    name: str
    nullable: bool
    kind: Kind
    parse: Callable[[str], Value]
    render: Callable[[Any], str]

    def complaint(self, text: str) -> str:
        """Say why the text was refused and what to give instead."""
        if not text:
            return f"is empty; give {self.kind.mend}"
        return f"is no {self.kind.name}; give {self.kind.mend}"


def shorten(text: str, limit: int = 60) -> str:
    """Cut a text for a message, and write what no terminal or JSON could take as an escape.

    Args:
        text: any text, also one with bytes that were no UTF-8.
        limit: how many characters may stay.

    """
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")


def _parse_number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise ValueError(text)
    number = int(text)
    if not least <= number <= most:
        raise ValueError(text)
    return number


@lru_cache(maxsize=4096)
def _parse_id(text: str) -> int:
    return _parse_number(text, 1, MAX_ID)


@lru_cache(maxsize=4096)
def _parse_integer(text: str) -> int:
    return _parse_number(text, 0, MAX_INTEGER)


def _render_number(value: object, least: int, most: int) -> str:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(value)
    return str(value)


def _render_id(value: object) -> str:
    return _render_number(value, 1, MAX_ID)


def _render_integer(value: object) -> str:
    return _render_number(value, 0, MAX_INTEGER)


def _parse_text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(text)
    if not text.isascii():
        text.encode()  # a byte that was no UTF-8 became a surrogate, which is a ValueError here
    return text


def _render_text(value: str) -> str:
    text = _parse_text(value)
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


@lru_cache(maxsize=4096)
def _parse_float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    return _finite(float(text))


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number + 0.0  # turns -0.0, which SQLite does not keep, into 0.0


def _render_float(value: float) -> str:
    return repr(_finite(float(value))).removesuffix(".0")


def _parse_boolean(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    raise ValueError(text)


def _render_boolean(value: object) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise ValueError(value)


@lru_cache(maxsize=4096)
def _parse_time(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def _render_time(value: datetime) -> str:
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    if value.microsecond:
        text = text.rstrip("0")
    return f"{text}Z"


def _enumeration(name: str, values: tuple[str, ...]) -> Kind:
    def one_of(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return Kind(name, f"one of {', '.join(values)}", one_of, one_of)


_ID = Kind("id", f"a whole number from 1 to {MAX_ID}", _parse_id, _render_id)
_INTEGER = Kind("whole number in range", f"a whole number from 0 to {MAX_INTEGER}", _parse_integer, _render_integer)
_TEXT = Kind("text", "a text in UTF-8 without null characters", _parse_text, _render_text)
_FLOAT_KIND = Kind("finite number", "a number such as 62.5", _parse_float, _render_float)
_BOOLEAN = Kind("truth value", "true or false", _parse_boolean, _render_boolean)
_TIME_KIND = Kind(
    "time with zone",
    "ISO 8601 with zone, down to microseconds, such as 2026-03-31T09:00:00Z",
    _parse_time,
    _render_time,
)

_KINDS: tuple[tuple[type[object], Kind], ...] = (
    (BigInteger, _ID),
    (Integer, _INTEGER),
    (Text, _TEXT),
    (Float, _FLOAT_KIND),
    (Boolean, _BOOLEAN),
    (UtcDateTime, _TIME_KIND),
)


def _kind(column: Column[Any]) -> Kind:
    if values := ENUMERATIONS.get(column.name):
        return _enumeration(column.name, values)
    return next(kind for column_type, kind in _KINDS if isinstance(column.type, column_type))


def _column_format(column: Column[Any]) -> ColumnFormat:
    kind = _kind(column)
    if not column.nullable:
        return ColumnFormat(column.name, False, kind, kind.parse, kind.render)  # noqa: FBT003 - "nullable" reads from the class

    def parse(text: str) -> Value:
        return kind.parse(text) if text else None

    def render(value: Value) -> str:
        return "" if value is None else kind.render(value)

    return ColumnFormat(column.name, True, kind, parse, render)  # noqa: FBT003 - as above


COLUMN_FORMATS: dict[Table, tuple[ColumnFormat, ...]] = {
    table: tuple(_column_format(column) for column in table.columns) for table in RECORD_FORMAT
}
"""Each table of the record format with its columns in canonical order."""
