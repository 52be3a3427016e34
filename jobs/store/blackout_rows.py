"""Every statement about blackouts."""

from datetime import date, timedelta

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.engine import Row

from jobs.blackout import Blackout
from jobs.database import database_now, read_now
from jobs.store.tables import blackouts

_DAYS_OF_ALL_ZONES = timedelta(days=2)
"""No zone's clock is further from UTC, so what ended that long ago has ended everywhere."""


def insert_blackout(connection: Connection, **values: object) -> Blackout:
    """Record a blackout; `created_at` is the database's time."""
    now = database_now(connection.dialect.name)
    statement = insert(blackouts).values(created_at=now, **values).returning(blackouts)
    return _blackout(connection.execute(statement).one())


def find_blackouts(connection: Connection, since: date | None = None) -> list[Blackout]:
    """Read the blackouts that end on a day or later, or all, in the order of their days."""
    query = select(blackouts).order_by(blackouts.c.first_day, blackouts.c.id)
    if since is not None:
        query = query.where(blackouts.c.last_day >= since)
    return [_blackout(row) for row in connection.execute(query)]


def find_blackouts_to_come(connection: Connection) -> list[Blackout]:
    """Read the blackouts that are not over, in the order of their days."""
    now = read_now(connection)
    return [found for found in find_blackouts(connection, now.date() - _DAYS_OF_ALL_ZONES) if found.ends > now]


def find_blackout(connection: Connection, blackout_id: int) -> Blackout | None:
    """Read a blackout."""
    row = connection.execute(select(blackouts).where(blackouts.c.id == blackout_id)).one_or_none()
    return None if row is None else _blackout(row)


def delete_blackout(connection: Connection, blackout_id: int) -> None:
    """Take a blackout back."""
    connection.execute(delete(blackouts).where(blackouts.c.id == blackout_id))


def _blackout(row: Row) -> Blackout:  # type: ignore[type-arg]
    return Blackout(**{name: getattr(row, name) for name in Blackout.__dataclass_fields__})
