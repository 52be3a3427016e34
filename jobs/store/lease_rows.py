"""Every statement about leases: those of workers, that of the leading housekeeper, and the window's lock."""

from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from jobs.database import read_now
from jobs.store.tables import leases, workers

_LEADER = "housekeeping"
_WINDOW = "window"


def renew_worker(connection: Connection, worker_id: str, lease_seconds: float) -> None:
    """Write a worker's heartbeat: it is alive until its lease lapses."""
    now = read_now(connection)
    until = now + timedelta(seconds=lease_seconds)
    renewed = connection.execute(update(workers).where(workers.c.id == worker_id).values(lease_until=until))
    if renewed.rowcount == 0:
        connection.execute(insert(workers).values(id=worker_id, started_at=now, lease_until=until))


def announce_worker(connection: Connection, worker_id: str, lease_seconds: float) -> None:
    """Write the first heartbeat of a worker, if nobody has; its housekeeper may do so at the same moment."""
    if connection.execute(select(workers.c.id).where(workers.c.id == worker_id)).first() is None:
        with suppress(IntegrityError), connection.begin_nested():
            renew_worker(connection, worker_id, lease_seconds)


def remove_worker(connection: Connection, worker_id: str) -> None:
    """Forget a worker that ends in order; what it still holds comes back at once."""
    connection.execute(delete(workers).where(workers.c.id == worker_id))


def remove_lapsed_workers(connection: Connection, older_than_seconds: float) -> None:
    """Forget workers whose lease lapsed long ago."""
    limit = read_now(connection) - timedelta(seconds=older_than_seconds)
    connection.execute(delete(workers).where(workers.c.lease_until < limit))


def living_workers(connection: Connection) -> list[str]:
    """Give the ids of the workers whose lease holds."""
    return list(connection.execute(select(workers.c.id).where(workers.c.lease_until >= read_now(connection))).scalars())


def lead_if_free(connection: Connection, holder: str, lease_seconds: float) -> bool:
    """Take or renew the leading housekeeper's lease, if nobody else holds it."""
    now = read_now(connection)
    taken = connection.execute(
        update(leases)
        .where(
            leases.c.name == _LEADER,
            or_(leases.c.holder.is_(None), leases.c.holder == holder, leases.c.until < now),
        )
        .values(holder=holder, until=now + timedelta(seconds=lease_seconds))
    )
    return taken.rowcount == 1


def stop_leading(connection: Connection, holder: str) -> None:
    """Give the leading housekeeper's lease back."""
    connection.execute(
        update(leases).where(leases.c.name == _LEADER, leases.c.holder == holder).values(holder=None, until=None)
    )


def lock_window(connection: Connection) -> None:
    """Let one transaction at a time fill the window; held until it ends."""
    connection.execute(update(leases).where(leases.c.name == _WINDOW).values(holder=None))
