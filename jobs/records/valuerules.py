"""Which stored values break their column's rule, as conditions in each database's own SQL.

PostgreSQL's types keep most rules by themselves. SQLite stores any value in any column, so there each
condition also asks for the stored type.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Integer,
    Text,
    and_,
    cast,
    false,
    func,
    literal_column,
    not_,
    or_,
    type_coerce,
)

from jobs.records.fileformat import ENUMERATIONS, MAX_INTEGER
from jobs.schema import UtcDateTime

_DIGITS = "[0-9]" * 2
_SQLITE_TIME = f"{_DIGITS * 2}-{_DIGITS}-{_DIGITS} {_DIGITS}:{_DIGITS}:{_DIGITS}.{_DIGITS * 3}"
_LARGEST_FLOAT = 1.7976931348623157e308


def as_text(column: Column[Any], dialect: str) -> ColumnElement[str]:
    """Select a column's value as text, whatever is stored there."""
    return cast(type_coerce(column, Text) if dialect == "sqlite" else column, Text)


def broken_value(column: Column[Any], dialect: str) -> tuple[ColumnElement[bool], str]:
    """Give the condition under which a value, not null, breaks its column's rule, and what to say of it.

    An id that refers to another table is checked there; here only its type counts.
    """
    kind = next(kind for kind in _RULES if isinstance(column.type, kind))
    sqlite_types, rule = _RULES[kind]
    broken, problem = rule(column, dialect)
    if dialect == "sqlite":
        broken = or_(func.typeof(type_coerce(column, Text)).not_in(sqlite_types), broken)
    return and_(column.is_not(None), broken), problem


_Rule = tuple[ColumnElement[bool], str]


def _id(column: Column[Any], _dialect: str) -> _Rule:
    return (false() if column.foreign_keys else column < 1), "is no id"


def _integer(column: Column[Any], _dialect: str) -> _Rule:
    return not_(column.between(0, MAX_INTEGER)), f"is not between 0 and {MAX_INTEGER}"


def _text(column: Column[Any], dialect: str) -> _Rule:
    if values := ENUMERATIONS.get(column.name):
        return column.not_in(values), f"is none of {', '.join(values)}"
    holds_null = func.instr(column, func.char(0)) > 0 if dialect == "sqlite" else false()
    return or_(column == "", holds_null), "is no text, or an empty one"


def _float(column: Column[Any], _dialect: str) -> _Rule:
    return func.abs(column) > _LARGEST_FLOAT, "is no finite number"  # PostgreSQL puts NaN above all others


def _boolean(column: Column[Any], dialect: str) -> _Rule:
    broken = type_coerce(column, Integer).not_in((0, 1)) if dialect == "sqlite" else false()
    return broken, "is no truth value"


def _time(column: Column[Any], dialect: str) -> _Rule:
    problem = "is no time in the years 1 to 9999"
    if dialect != "sqlite":
        least: ColumnElement[Any] = literal_column("timestamptz '0001-01-01 00:00:00Z'")
        beyond: ColumnElement[Any] = literal_column("timestamptz '10000-01-01 00:00:00Z'")
        return or_(column < least, column >= beyond), problem
    stored = type_coerce(column, Text)
    whole_seconds = func.substr(stored, 1, 19)
    # Adding no days moves a day that its month does not have, which then gives another text.
    moved = func.datetime(whole_seconds, "+0 days")
    exists = func.coalesce(moved == whole_seconds, false())
    year_nought = func.substr(stored, 1, 4) == "0000"
    return or_(not_(stored.bool_op("GLOB")(_SQLITE_TIME)), not_(exists), year_nought), problem


_RULES: dict[type[object], tuple[tuple[str, ...], Callable[[Column[Any], str], _Rule]]] = {
    BigInteger: (("integer",), _id),
    Integer: (("integer",), _integer),
    Text: (("text",), _text),
    Float: (("real", "integer"), _float),
    Boolean: (("integer",), _boolean),
    UtcDateTime: (("text",), _time),
}
"""For each column type: what SQLite stores it as, and the rule. The first that fits counts."""
