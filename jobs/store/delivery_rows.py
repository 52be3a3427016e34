"""Every statement about results on their way."""

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, Update, insert, or_, select, update
from sqlalchemy.engine import Row

from jobs.database import database_now, read_now
from jobs.delivery import Delivery, DeliveryState
from jobs.store.delivery_table import deliveries
from jobs.store.tables import jobs

_WAITING = deliveries.c.state == DeliveryState.WAITING.value


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


def any_due(connection: Connection) -> bool:
    """Tell whether any result could be claimed now."""
    return connection.execute(_due(connection, read_now(connection))).first() is not None


def claim_next(connection: Connection, seconds: float) -> Delivery | None:
    """Take a due result for one try, the least tried first; nobody else gets it for so many seconds.

    What a receiver does not answer to holds up others for that receiver only: as a rule a target is sent one result
    at a time.
    """
    now = read_now(connection)
    while (row := connection.execute(_due(connection, now)).first()) is not None:
        taken = connection.execute(
            update(deliveries)
            .where(deliveries.c.id == row.id, _WAITING, deliveries.c.tries == row.tries)
            .values(tries=row.tries + 1, due_at=None, claimed_until=now + timedelta(seconds=seconds), error=_UNKNOWN)
            .returning(deliveries)
        ).first()
        if taken is not None:
            return _delivery(taken)
    return None


_UNKNOWN = "its sender ended before the answer was known"


def mark_delivered(connection: Connection, delivery: Delivery) -> None:
    """Note that a result has arrived, by whichever try."""
    now = database_now(connection.dialect.name)
    statement = update(deliveries).where(deliveries.c.id == delivery.id, deliveries.c.delivered_at.is_(None))
    state = DeliveryState.DELIVERED.value
    connection.execute(statement.values(state=state, delivered_at=now, due_at=None, claimed_until=None, error=None))


def mark_failed_if_latest(connection: Connection, delivery: Delivery, reason: str, wait_seconds: float) -> None:
    """Have a result tried again after a wait, unless somebody else tries it by now."""
    due = read_now(connection) + timedelta(seconds=wait_seconds)
    connection.execute(_latest(delivery).values(due_at=due, claimed_until=None, error=reason))


def give_up_if_latest(connection: Connection, delivery: Delivery, reason: str) -> None:
    """Try a result no more, unless somebody else tries it by now."""
    state = DeliveryState.GIVEN_UP.value
    connection.execute(_latest(delivery).values(state=state, claimed_until=None, error=reason))


def release_if_latest(connection: Connection, delivery: Delivery) -> None:
    """Hand a result back whose try was broken off from our side; it counts for nothing."""
    connection.execute(_latest(delivery).values(tries=delivery.tries - 1, claimed_until=None, error=None))


def send_again(connection: Connection, job_id: int, *, delivered_too: bool) -> int:
    """Have the results of a job sent anew from the first try on; give their number."""
    statement = update(deliveries).where(deliveries.c.job_id == job_id)
    if not delivered_too:
        statement = statement.where(deliveries.c.state != DeliveryState.DELIVERED.value)
    anew = {"state": DeliveryState.WAITING.value, "tries": 0}
    cleared = dict.fromkeys(("due_at", "claimed_until", "delivered_at", "error"))
    return connection.execute(statement.values(anew | cleared)).rowcount


@dataclass(frozen=True, kw_only=True)
class Troubles:
    """The results that do not arrive.

    Attributes:
        given_up: jobs of which a result was given up, not long ago, newest first.
        late: jobs that ended a while ago and of which a result is still tried, oldest first.

    """

    given_up: tuple[int, ...]
    late: tuple[int, ...]


def find_troubles(connection: Connection, *, late_after: timedelta, forget_after: timedelta) -> Troubles:
    """Read which results do not arrive.

    Args:
        connection: in any transaction.
        late_after: how long after its job's end a result is late.
        forget_after: how long after its job's end one that was given up is told of.

    """
    now = read_now(connection)
    query = select(jobs.c.id).distinct().join(deliveries, deliveries.c.job_id == jobs.c.id)
    given_up = query.where(
        deliveries.c.state == DeliveryState.GIVEN_UP.value, jobs.c.finished_at >= now - forget_after
    ).order_by(jobs.c.id.desc())
    late = query.where(_WAITING, jobs.c.finished_at < now - late_after).order_by(jobs.c.id)
    return Troubles(
        given_up=tuple(connection.execute(given_up).scalars()), late=tuple(connection.execute(late).scalars())
    )


def _latest(delivery: Delivery) -> Update:
    """Change a result only if no later try has begun."""
    return update(deliveries).where(deliveries.c.id == delivery.id, _WAITING, deliveries.c.tries == delivery.tries)


def _due(connection: Connection, now: datetime) -> Select[tuple[int, int]]:
    claimed = deliveries.c.claimed_until >= now
    busy = connection.execute(select(deliveries.c.target).where(_WAITING, claimed)).scalars().all()
    return (
        select(deliveries.c.id, deliveries.c.tries)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(
            _WAITING,
            jobs.c.finished_at.is_not(None),
            or_(deliveries.c.due_at.is_(None), deliveries.c.due_at <= now),
            or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until < now),
            deliveries.c.target.not_in(busy),
        )
        .order_by(deliveries.c.tries, deliveries.c.id)
        .limit(1)
    )


def _delivery(row: Row) -> Delivery:  # type: ignore[type-arg]
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**values | {"state": DeliveryState(row.state)})
