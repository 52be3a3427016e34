"""Where each administrator stands, kept between calls."""

from sqlalchemy import Connection, insert, select, update

from jobs.store.tables import standings


def read_standing(connection: Connection, actor_id: int) -> int | None:
    """Read at which location an actor stands since its last `location use`."""
    found: int | None = connection.execute(
        select(standings.c.location_id).where(standings.c.actor_id == actor_id)
    ).scalar_one_or_none()
    return found


def write_standing(connection: Connection, actor_id: int, location_id: int) -> None:
    """Remember at which location an actor stands."""
    moved = connection.execute(
        update(standings).where(standings.c.actor_id == actor_id).values(location_id=location_id)
    )
    if moved.rowcount == 0:
        connection.execute(insert(standings).values(actor_id=actor_id, location_id=location_id))
