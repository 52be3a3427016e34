"""Every statement about results on their way."""

import uuid
from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from jobs.delivery import Delivery, DeliveryState
from jobs.store.delivery_table import deliveries


def insert_deliveries(connection: Connection, job_id: int, targets: Collection[str]) -> None:
    """Write down whom to tell when a job ends; each target once, under an id that no other message has."""
    rows = [
        {
            "job_id": job_id,
            "target": target,
            "message_id": f"msg_{uuid.uuid4().hex}",
            "state": DeliveryState.WAITING.value,
        }
        for target in dict.fromkeys(targets)
    ]
    if rows:
        connection.execute(insert(deliveries), rows)


def targets_of(connection: Connection, job_id: int) -> tuple[str, ...]:
    """Read whom a job tells of its end."""
    query = select(deliveries.c.target).where(deliveries.c.job_id == job_id).order_by(deliveries.c.id)
    return tuple(connection.execute(query).scalars())


def deliveries_of(connection: Connection, job_ids: Collection[int]) -> dict[int, tuple[Delivery, ...]]:
    """Read how the results of these jobs stand, by job."""
    query = select(deliveries).where(deliveries.c.job_id.in_(job_ids)).order_by(deliveries.c.id)
    found = defaultdict(list)
    for row in connection.execute(query):
        found[row.job_id].append(_delivery(row))
    return {job_id: tuple(of_job) for job_id, of_job in found.items()}


def _delivery(row: Row) -> Delivery:  # type: ignore[type-arg]
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**values | {"state": DeliveryState(row.state)})
