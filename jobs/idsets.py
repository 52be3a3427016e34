"""Sets of ids and of pairs of ids as one parameter of a statement, on each database.

PostgreSQL takes arrays, SQLite JSON. A statement keeps one text however many ids it is given, so its plan is
prepared once. This module holds all the SQL of a reset that differs between databases.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import adapters, postgres
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from sqlalchemy import ColumnElement, Integer, bindparam, cast, func, select
from sqlalchemy.sql.selectable import Subquery
from sqlalchemy.types import UserDefinedType


class IdSets(Protocol):
    """How one database takes sets of ids."""

    def among(self, column: ColumnElement[int], name: str) -> ColumnElement[bool]:
        """Test whether `column` is among the ids of the parameter `name`."""

    def pairs(self, name: str) -> Subquery:
        """Give the pairs of the parameters of `pair_parameters(name, …)` as rows (left_id, right_id)."""

    def parameters(self, name: str, ids: Iterable[int]) -> dict[str, object]:
        """Give the parameters that `among` reads."""

    def pair_parameters(self, name: str, pairs: Iterable[tuple[int, int]]) -> dict[str, object]:
        """Give the parameters that `pairs` reads."""


@dataclass(frozen=True)
class IdArray:
    """Ids written as an array of PostgreSQL's, once for all the statements that take them.

    psycopg would write a list down anew for each statement, id by id, which took a tenth of a chunk's time.
    """

    text: bytes

    @classmethod
    def of(cls, ids: Iterable[int]) -> "IdArray":
        """Write ids down, in the order given."""
        return cls(f"{{{','.join(map(str, ids))}}}".encode())


class _IdArrayDumper(Dumper):
    oid = postgres.types["int8"].array_oid

    def dump(self, obj: IdArray) -> Buffer:
        return obj.text


adapters.register_dumper(IdArray, _IdArrayDumper)


class _IdArrayType(UserDefinedType[IdArray]):
    """A parameter that is an array already."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401 - as SQLAlchemy declares it
        return "BIGINT[]"


class PostgresIdSets:
    """Ids as arrays."""

    def among(self, column: ColumnElement[int], name: str) -> ColumnElement[bool]:
        """Test by `= ANY(array)`, which an index answers."""
        return column == func.any(bindparam(name, type_=_IdArrayType()))

    def pairs(self, name: str) -> Subquery:
        """Unfold two arrays side by side."""
        left, right = (bindparam(f"{name}_{side}", type_=_IdArrayType()) for side in ("left", "right"))
        table = func.unnest(left, right).table_valued("left_id", "right_id", name=name).render_derived()
        return select(table.c.left_id, table.c.right_id).subquery(f"{name}_pairs")

    def parameters(self, name: str, ids: Iterable[int]) -> dict[str, object]:
        """Give an array, in order."""
        return {name: IdArray.of(sorted(ids))}

    def pair_parameters(self, name: str, pairs: Iterable[tuple[int, int]]) -> dict[str, object]:
        """Give two arrays of one length."""
        ordered = sorted(pairs)
        return {
            f"{name}_left": IdArray.of(left for left, _ in ordered),
            f"{name}_right": IdArray.of(right for _, right in ordered),
        }


class SqliteIdSets:
    """Ids as JSON, which SQLite unfolds."""

    def among(self, column: ColumnElement[int], name: str) -> ColumnElement[bool]:
        """Test by a subquery over the JSON array."""
        ids = func.json_each(bindparam(name)).table_valued("value", name=name)
        return column.in_(select(cast(ids.c.value, Integer)))

    def pairs(self, name: str) -> Subquery:
        """Unfold a JSON array of two-element arrays."""
        pair = func.json_each(bindparam(name)).table_valued("value", name=name)
        return select(
            cast(func.json_extract(pair.c.value, "$[0]"), Integer).label("left_id"),
            cast(func.json_extract(pair.c.value, "$[1]"), Integer).label("right_id"),
        ).subquery(f"{name}_pairs")

    def parameters(self, name: str, ids: Iterable[int]) -> dict[str, object]:
        """Give a JSON array."""
        return {name: json.dumps(sorted(ids))}

    def pair_parameters(self, name: str, pairs: Iterable[tuple[int, int]]) -> dict[str, object]:
        """Give a JSON array of pairs."""
        return {name: json.dumps(sorted(pairs))}


def id_sets(dialect: str) -> IdSets:
    """Give the form of a database by its name."""
    return PostgresIdSets() if dialect == "postgresql" else SqliteIdSets()
