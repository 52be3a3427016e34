"""Sets of ids for PostgreSQL: arrays that are written down once for all the statements that take them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, postgres
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.sql.selectable import Subquery
from sqlalchemy.types import UserDefinedType


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


def teach_id_arrays(connection: Connection[Any], _record: object) -> None:
    """Let a new connection of psycopg take them as parameters."""
    connection.adapters.register_dumper(IdArray, _IdArrayDumper)


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
