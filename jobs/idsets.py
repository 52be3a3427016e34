"""Sets of ids and of pairs of ids as one parameter of a statement, on each database.

PostgreSQL takes arrays, SQLite JSON. A statement keeps one text however many ids it is given, so its plan is
prepared once. This module holds all the SQL of a reset that differs between databases.
"""

import json
from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import BigInteger, ColumnElement, Integer, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import Subquery


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


class PostgresIdSets:
    """Ids as arrays."""

    def among(self, column: ColumnElement[int], name: str) -> ColumnElement[bool]:
        """Test by `= ANY(array)`, which an index answers."""
        return column == func.any(bindparam(name, type_=ARRAY(BigInteger)))

    def pairs(self, name: str) -> Subquery:
        """Unfold two arrays side by side."""
        left, right = (bindparam(f"{name}_{side}", type_=ARRAY(BigInteger)) for side in ("left", "right"))
        table = func.unnest(left, right).table_valued("left_id", "right_id", name=name).render_derived()
        return select(table.c.left_id, table.c.right_id).subquery(f"{name}_pairs")

    def parameters(self, name: str, ids: Iterable[int]) -> dict[str, object]:
        """Give a list, which psycopg sends as an array."""
        return {name: sorted(ids)}

    def pair_parameters(self, name: str, pairs: Iterable[tuple[int, int]]) -> dict[str, object]:
        """Give two lists of one length."""
        ordered = sorted(pairs)
        return {
            f"{name}_left": [left for left, _ in ordered],
            f"{name}_right": [right for _, right in ordered],
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
