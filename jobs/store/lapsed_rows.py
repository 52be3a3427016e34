"""Every statement about chunks that nobody runs any more: claimed, but their worker is gone or late."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.engine import Row

from jobs.database import read_now
from jobs.model import ChunkState
from jobs.store import chunk_rows
from jobs.store.tables import chunks, jobs, workers

MOST_LOSSES_OF_ONE_USER = 3
"""A user who costs that many processes is failed."""


@dataclass(frozen=True, kw_only=True)
class Lapsed:
    """A claimed chunk whose worker is gone or late."""

    chunk_id: int
    fence: int
    first_ordinal: int
    last_ordinal: int
    losses: int
    worker_lives: bool


def find_lapsed(connection: Connection) -> list[Lapsed]:
    """Find claimed chunks past their deadline or whose worker's lease has lapsed."""
    now = read_now(connection)
    alive = select(workers.c.id).where(workers.c.lease_until >= now)
    lives = chunks.c.worker_id.in_(alive)
    query = select(chunks, lives.label("worker_lives")).where(
        chunks.c.state == ChunkState.CLAIMED.value, or_(chunks.c.deadline < now, ~lives)
    )
    return [_lapsed(row, worker_lives=bool(row.worker_lives)) for row in connection.execute(query)]


def find_claimed_by(connection: Connection, worker_id: str) -> list[tuple[int, Lapsed]]:
    """Find the chunks that a living worker's processes hold: (process id, chunk)."""
    query = select(chunks).where(chunks.c.state == ChunkState.CLAIMED.value, chunks.c.worker_id == worker_id)
    return [(row.process_id, _lapsed(row, worker_lives=True)) for row in connection.execute(query)]


def find_overdue_processes(connection: Connection, worker_id: str) -> list[int]:
    """Find the processes of a worker that hold a chunk past its deadline."""
    query = select(chunks.c.process_id).where(
        chunks.c.state == ChunkState.CLAIMED.value,
        chunks.c.worker_id == worker_id,
        chunks.c.deadline < read_now(connection),
    )
    return list(connection.execute(query).scalars())


def return_if_still_claimed(connection: Connection, lapsed: Lapsed) -> bool:
    """Give a lapsed chunk a new fence and dispatch it again, halved if it has more than one user.

    A chunk whose transaction still holds its row is skipped, not waited for. One that its job's closing cut short is
    dispatched again as it is, and that counts for nothing. One whose job has ended meanwhile is removed.
    """
    held = (
        select(chunks.c.job_id, jobs.c.finished_at)
        .join(jobs, jobs.c.id == chunks.c.job_id)
        .where(
            chunks.c.id == lapsed.chunk_id,
            chunks.c.fence == lapsed.fence,
            chunks.c.state == ChunkState.CLAIMED.value,
        )
        .with_for_update(of=chunks, skip_locked=True)
    )
    found = connection.execute(held).one_or_none()
    if found is None:
        return False
    if found.finished_at is not None:
        connection.execute(delete(chunks).where(chunks.c.id == lapsed.chunk_id))
        return True
    job_id, of_chunk = found.job_id, update(chunks).where(chunks.c.id == lapsed.chunk_id)
    if chunk_rows.is_closed(connection, job_id):
        connection.execute(of_chunk.values(chunk_rows.dispatched_again()))
        return True
    losses = lapsed.losses + (1 if lapsed.worker_lives else 0)
    if lapsed.first_ordinal == lapsed.last_ordinal and losses >= MOST_LOSSES_OF_ONE_USER:
        reason = f"the process that ran it died {losses} times"
        connection.execute(of_chunk.values(chunk_rows.failed_alone(connection, reason) | {"losses": losses}))
        return True
    middle = (lapsed.first_ordinal + lapsed.last_ordinal) // 2
    if lapsed.first_ordinal == middle < lapsed.last_ordinal:
        losses = 0  # in company, it may have been the other
    connection.execute(of_chunk.values(chunk_rows.dispatched_again() | {"last_ordinal": middle, "losses": losses}))
    chunk_rows.insert_rest(connection, job_id, middle + 1, lapsed.last_ordinal)
    return True


def _lapsed(row: Row, *, worker_lives: bool) -> Lapsed:  # type: ignore[type-arg]
    return Lapsed(
        chunk_id=row.id,
        fence=row.fence,
        first_ordinal=row.first_ordinal,
        last_ordinal=row.last_ordinal,
        losses=row.losses,
        worker_lives=worker_lives,
    )
