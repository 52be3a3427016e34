"""What chunks came to: their sums, their speed, and the outcome of every user.

The outcomes of a chunk are written down in its own row, by offset into the chunk; whoever is not named there was
unchanged. So they commit with the reset itself, take little room, and outlive the archive.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, literal_column, or_, select
from sqlalchemy.engine import Row

from jobs.database import database_now, read_now
from jobs.model import ChunkState, Rows
from jobs.progress import Totals
from jobs.store.tables import chunks

_RECENT = timedelta(seconds=30)
_COLLIDED = chunks.c.collisions > literal_column("0")
"""Without a parameter, as in its partial index."""


def recent_chunks(connection: Connection, job_id: int, limit: int = 8) -> list[tuple[int, float | None]]:
    """Give (users, seconds) of a job's latest chunks, newest first; no seconds for one that must run again."""
    done = chunks.c.state == ChunkState.DONE.value
    query = (
        select(chunks.c.first_ordinal, chunks.c.last_ordinal, chunks.c.claimed_at, chunks.c.done_at)
        .where(chunks.c.job_id == job_id, or_(done, chunks.c.retries > 0))
        .order_by(chunks.c.first_ordinal.desc())
        .limit(limit)
    )
    return [
        (
            row.last_ordinal - row.first_ordinal + 1,
            None if row.done_at is None else (row.done_at - row.claimed_at).total_seconds(),
        )
        for row in connection.execute(query)
    ]


def any_recent_collision(connection: Connection, job_id: int) -> bool:
    """Tell whether a chunk of a job, done in the last half minute, and others who write were in each other's way."""
    query = select(func.max(chunks.c.done_at), database_now(connection.dialect.name))
    last_at, now = connection.execute(query.where(chunks.c.job_id == job_id, _COLLIDED)).one()
    return last_at is not None and last_at >= now - _RECENT


def newest_size(connection: Connection, job_id: int) -> int | None:
    """Give the users of a job's newest chunk, in flight or not; None before the first."""
    size = chunks.c.last_ordinal - chunks.c.first_ordinal + 1
    query = select(size).where(chunks.c.job_id == job_id).order_by(chunks.c.first_ordinal.desc()).limit(1)
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def totals_of(connection: Connection, job_ids: Collection[int]) -> dict[int, Totals]:
    """Sum up the chunks of each job."""
    c, done = chunks.c, chunks.c.state == ChunkState.DONE.value
    users, recent = c.last_ordinal - c.first_ordinal + 1, c.done_at >= read_now(connection) - _RECENT
    sizes = select(users).where(c.job_id == bindparam("sized"))
    query = (
        select(
            c.job_id,
            func.sum(c.users_changed).label("changed"),
            func.sum(c.users_unchanged).label("unchanged"),
            func.sum(c.users_failed).label("failed"),
            func.sum(c.attempts_erased).label("attempts_erased"),
            func.sum(c.chapters_reset).label("chapters_reset"),
            func.sum(c.courses_reset).label("courses_reset"),
            func.count().filter(done).label("chunks_done"),
            func.count().filter(~done).label("in_flight"),
            func.sum(c.retries + c.losses).label("retried"),
            func.sum(users).filter(recent).label("recent_users"),
            func.min(c.claimed_at).filter(recent).label("recent_since"),
            func.sum(c.collisions).filter(recent).label("recent_collisions"),
        )
        .where(c.job_id.in_(job_ids))
        .group_by(c.job_id)
    )
    latest = sizes.order_by(c.first_ordinal.desc()).limit(1)
    return {
        row.job_id: _totals(row, connection.execute(latest, {"sized": row.job_id}).scalar_one())
        for row in connection.execute(query).all()
    }


@dataclass(frozen=True, kw_only=True)
class ChunkOutcomes:
    """What became of the users of a done chunk: rows of the changed and reasons of the failed, by ordinal."""

    first_ordinal: int
    last_ordinal: int
    claimed_at: datetime
    changed: dict[int, Rows]
    failed: dict[int, str]


def read_outcomes(connection: Connection, job_id: int) -> Iterator[ChunkOutcomes]:
    """Give the outcomes of each done chunk of a job, in order."""
    query = (
        select(chunks.c.first_ordinal, chunks.c.last_ordinal, chunks.c.claimed_at, chunks.c.outcomes)
        .where(chunks.c.job_id == job_id, chunks.c.state == ChunkState.DONE.value)
        .order_by(chunks.c.first_ordinal)
    )
    for row in connection.execute(query):
        outcomes = json.loads(row.outcomes)
        changed = {
            row.first_ordinal + offset: Rows(attempts_erased=a, chapters_reset=c, courses_reset=k)
            for offset, a, c, k in outcomes["changed"]
        }
        failed = {row.first_ordinal + offset: reason for offset, reason in outcomes["failed"]}
        yield ChunkOutcomes(
            first_ordinal=row.first_ordinal,
            last_ordinal=row.last_ordinal,
            claimed_at=row.claimed_at,
            changed=changed,
            failed=failed,
        )


def encode_outcomes(users: list[int], changed: Mapping[int, Rows], failed: Mapping[int, str]) -> str:
    """Write the outcomes down by offset into the chunk; whoever is not named was unchanged."""
    return json.dumps(
        {
            "changed": [
                [offset, rows.attempts_erased, rows.chapters_reset, rows.courses_reset]
                for offset, rows in ((o, changed.get(user)) for o, user in enumerate(users))
                if rows is not None
            ],
            "failed": [[offset, failed[user]] for offset, user in enumerate(users) if user in failed],
        },
        separators=(",", ":"),
    )


def _totals(row: Row, size: int) -> Totals:  # type: ignore[type-arg]
    return Totals(
        changed=row.changed,
        unchanged=row.unchanged,
        failed=row.failed,
        rows=Rows(
            attempts_erased=int(row.attempts_erased),
            chapters_reset=int(row.chapters_reset),
            courses_reset=int(row.courses_reset),
        ),
        chunks_done=row.chunks_done,
        chunks_in_flight=row.in_flight,
        chunks_retried=row.retried,
        chunk_size=size,
        recent_users=row.recent_users or 0,
        recent_since=row.recent_since,
        recent_collisions=row.recent_collisions or 0,
    )
