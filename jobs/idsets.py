"""Sets of ids and of pairs of ids as one parameter of a statement, on each database.

PostgreSQL takes arrays, see `idarrays`, SQLite JSON. A statement keeps one text however many ids it is given, so its
plan is prepared once. These two modules hold all the SQL of a reset that differs between databases.
"""

import json
from collections.abc import Iterable
from typing import Protocol

from sqlalchemy import ColumnElement, Integer, bindparam, cast, func, select
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
    if dialect == "postgresql":
        from jobs.idarrays import PostgresIdSets  # noqa: PLC0415 - SQLite needs no driver of PostgreSQL

        return PostgresIdSets()
    return SqliteIdSets()
