"""Every statement about chunks: dispatch, the fenced claim, the checkpoint, and what a worker hands back.

A chunk is `dispatched` until a worker claims it, `claimed` while its transaction runs, and `done` with it. Each
claim and each return gives it a new fence; whoever holds an older one can no longer commit. Nor can anybody from
its job's closing on.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, case, delete, func, insert, or_, select, update

from jobs.database import database_later, database_now, read_now
from jobs.model import ChunkState, JobState, Rows
from jobs.store.outcome_rows import encode_outcomes
from jobs.store.tables import chunks, jobs

_RUNNABLE = (JobState.QUEUED.value, JobState.RUNNING.value)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that runs a chunk."""

    worker_id: str
    process_id: int


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A chunk in the hands of one worker.

    Attributes:
        begins_job: whether its job was waiting for it, its first.

    """

    chunk_id: int
    job_id: int
    first_ordinal: int
    last_ordinal: int
    fence: int
    deadline: datetime
    retries: int = 0
    begins_job: bool = False

    @property
    def users(self) -> int:
        """How many users it has."""
        return self.last_ordinal - self.first_ordinal + 1


def insert_chunk(connection: Connection, job_id: int, first: int, last: int) -> int:
    """Dispatch a chunk, which waits for a place of the window; give its id."""
    statement = (
        insert(chunks)
        .values(
            job_id=job_id,
            first_ordinal=first,
            last_ordinal=last,
            state=ChunkState.DISPATCHED.value,
            created_at=database_now(connection.dialect.name),
        )
        .returning(chunks.c.id)
    )
    chunk_id: int = connection.execute(statement).scalar_one()
    return chunk_id


def mark_unpublished(connection: Connection, chunk_ids: Collection[int]) -> None:
    """Note that these chunks' messages did not reach the broker."""
    connection.execute(
        update(chunks)
        .where(chunks.c.id.in_(chunk_ids), chunks.c.state == ChunkState.DISPATCHED.value)
        .values(published_at=None)
    )


def find_unpublished(connection: Connection) -> dict[int, list[int]]:
    """Find the dispatched chunks of runnable jobs that have no message, oldest first, by job."""
    query = select(chunks.c.job_id, chunks.c.id).where(chunks.c.published_at.is_(None), *_dispatched_and_runnable())
    found: dict[int, list[int]] = {}
    for job_id, chunk_id in connection.execute(query.order_by(chunks.c.id)):
        found.setdefault(job_id, []).append(chunk_id)
    return found


def mark_published(connection: Connection, chunk_ids: Collection[int]) -> None:
    """Note that these chunks' messages are about to be sent."""
    connection.execute(update(chunks).where(chunks.c.id.in_(chunk_ids)).values(published_at=read_now(connection)))


def find_overdue_messages(connection: Connection, timeout_seconds: float) -> list[int]:
    """Find the dispatched chunks of runnable jobs whose message was sent that long ago and led to no claim."""
    sent_before = read_now(connection) - timedelta(seconds=timeout_seconds)
    query = select(chunks.c.id).where(chunks.c.published_at < sent_before, *_dispatched_and_runnable())
    return list(connection.execute(query).scalars())


def claim_if_dispatched(
    connection: Connection, chunk_id: int, owner: Owner, deadline_seconds: float, needed_seconds: float = 0
) -> Claim | None:
    """Give a dispatched chunk of a runnable job a new fence, its owner and a deadline; None drops the message.

    Args:
        connection: in a writing transaction.
        chunk_id: of the message; a chunk that waits and whose job has a higher priority is claimed instead.
        owner: who runs it.
        deadline_seconds: how long the claim holds, unless its job closes sooner.
        needed_seconds: how much time must be left until that.

    """
    dialect = connection.dialect.name
    in_time = _open_until(database_later(dialect, needed_seconds))
    deadline = database_later(dialect, deadline_seconds)
    of_job = jobs.c.id == chunks.c.job_id
    closing = select(jobs.c.closes_at).where(of_job).scalar_subquery()
    waits_for_it = select(jobs.c.state == JobState.QUEUED.value).where(of_job).scalar_subquery()
    statement = (
        update(chunks)
        .where(
            chunks.c.id == func.coalesce(_more_urgent(chunk_id, in_time), chunk_id),
            chunks.c.state == ChunkState.DISPATCHED.value,
            chunks.c.job_id.in_(in_time),
        )
        .values(
            state=ChunkState.CLAIMED.value,
            fence=chunks.c.fence + 1,
            worker_id=owner.worker_id,
            process_id=owner.process_id,
            claimed_at=database_now(dialect),
            deadline=case((closing < deadline, closing), else_=deadline),
        )
        .returning(chunks, waits_for_it.label("begins_job"))
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Claim(
        chunk_id=row.id,
        job_id=row.job_id,
        first_ordinal=row.first_ordinal,
        last_ordinal=row.last_ordinal,
        fence=row.fence,
        deadline=row.deadline,
        retries=row.retries,
        begins_job=row.begins_job,
    )


def _more_urgent(chunk_id: int, in_time: Select[int]) -> ScalarSelect[int]:
    """Find a dispatched chunk of a job that is open and has a higher priority than this chunk's job."""
    own = select(jobs.c.priority).join(chunks, chunks.c.job_id == jobs.c.id).where(chunks.c.id == chunk_id)
    other = chunks.alias("other")
    return (
        select(other.c.id)
        .join(jobs, jobs.c.id == other.c.job_id)
        .where(
            other.c.state == ChunkState.DISPATCHED.value,
            jobs.c.id.in_(in_time),
            jobs.c.priority > own.scalar_subquery(),
        )
        .order_by(jobs.c.priority.desc(), other.c.id)
        .limit(1)
        .with_for_update(of=other, skip_locked=True)
        .scalar_subquery()
    )


def lock_if_fence_holds(connection: Connection, claim: Claim) -> bool:
    """Lock the chunk's row for this transaction, if the claim still holds and the job may still run."""
    may_run = chunks.c.job_id.in_(_open_until(database_now(connection.dialect.name)))
    return connection.execute(update(chunks).where(_held(claim), may_run).values(fence=claim.fence)).rowcount == 1


def keep_first(connection: Connection, claim: Claim, most: int) -> Claim:
    """Let a chunk whose row is locked have its first users only, and dispatch the others in chunks as small."""
    if claim.users <= most:
        return claim
    first, *others = range(claim.first_ordinal, claim.last_ordinal + 1, most)
    last = first + most - 1
    values = {"last_ordinal": last, "claimed_at": read_now(connection)}  # the time before was spent on all of them
    connection.execute(update(chunks).where(_held(claim)).values(values))
    for begin in others:
        insert_chunk(connection, claim.job_id, begin, min(begin + most - 1, claim.last_ordinal))
    return replace(claim, last_ordinal=last)


def finish_if_fence_holds(
    connection: Connection,
    claim: Claim,
    users: list[int],
    changed: Mapping[int, Rows],
    failed: Mapping[int, str],
    collisions: int = 0,
) -> bool:
    """Mark a chunk done, with its counts and the outcome of every user, in the transaction of the reset itself.

    Not from its job's closing on; what was done must be rolled back then. Noted with it is how often others were in
    its way, and it in theirs.
    """
    now, total = database_now(connection.dialect.name), Rows.total(changed.values())
    statement = (
        update(chunks)
        .where(_held(claim), chunks.c.job_id.not_in(_closed(now)))
        .values(
            state=ChunkState.DONE.value,
            done_at=now,
            users_changed=len(changed),
            users_failed=len(failed),
            users_unchanged=len(users) - len(changed) - len(failed),
            attempts_erased=total.attempts_erased,
            chapters_reset=total.chapters_reset,
            courses_reset=total.courses_reset,
            collisions=collisions,
            outcomes=encode_outcomes(users, changed, failed),
        )
    )
    return connection.execute(statement).rowcount == 1


def release_if_fence_holds(connection: Connection, claim: Claim, *, retries: int = 1, halved: bool = False) -> bool:
    """Hand a chunk back to be run again, whole or halved; `retries` is how many it counts for that.

    A user who is alone from now on starts anew: what failed in company may be another's doing.
    """
    last = (claim.first_ordinal + claim.last_ordinal) // 2 if halved else claim.last_ordinal
    counted = 0 if claim.users > 1 and last == claim.first_ordinal else chunks.c.retries + retries
    values = dispatched_again() | {"retries": counted, "last_ordinal": last}
    released = connection.execute(update(chunks).where(_held(claim)).values(values)).rowcount == 1
    if released:
        insert_rest(connection, claim.job_id, last + 1, claim.last_ordinal)
    return released


def fence_off_idle(connection: Connection, job_id: int) -> bool:
    """Give every claimed chunk of a job a new fence, but for those whose transaction holds them already.

    Returns:
        whether none is left that could commit.

    """
    claimed = (chunks.c.job_id == job_id) & (chunks.c.state == ChunkState.CLAIMED.value)
    idle = list(connection.execute(select(chunks.c.id).where(claimed).with_for_update(skip_locked=True)).scalars())
    if idle:
        connection.execute(update(chunks).where(chunks.c.id.in_(idle)).values(dispatched_again()))
    return connection.execute(select(chunks.c.id).where(claimed).limit(1)).first() is None


def drop_dispatched(connection: Connection, job_id: int) -> None:
    """Remove the chunks of a job that will not run any more; their users count as never reached."""
    connection.execute(delete(chunks).where(chunks.c.job_id == job_id, chunks.c.state == ChunkState.DISPATCHED.value))


def take_back_newest(connection: Connection, job_id: int) -> int | None:
    """Remove the newest chunks of a job, as far back as none was ever claimed; give the first ordinal that is free now.

    Holding the lock on the window; what is left of their messages finds nothing to claim.
    """
    of_job = chunks.c.job_id == job_id
    untouched = of_job & (chunks.c.state == ChunkState.DISPATCHED.value) & (chunks.c.retries + chunks.c.losses == 0)
    query = select(chunks.c.id, chunks.c.first_ordinal).where(untouched).with_for_update(skip_locked=True)
    waiting = dict(connection.execute(query).all())
    older = select(func.max(chunks.c.last_ordinal)).where(of_job, chunks.c.id.not_in(waiting))
    begun = connection.execute(older).scalar_one()
    newest = {chunk: first for chunk, first in waiting.items() if begun is None or first > begun}
    connection.execute(delete(chunks).where(chunks.c.id.in_(newest)))
    return min(newest.values(), default=None)


def fail_if_fence_holds(connection: Connection, claim: Claim, reason: str) -> bool:
    """Give the only user of a chunk up as failed."""
    values = failed_alone(connection, reason)
    return connection.execute(update(chunks).where(_held(claim)).values(values)).rowcount == 1


def in_flight_by_job(connection: Connection) -> dict[int, int]:
    """Count the chunks that have a message or a worker, by job; those of a job that stands still take no place."""
    query = (
        select(chunks.c.job_id, func.count())
        .where(
            chunks.c.state != ChunkState.DONE.value,
            or_(chunks.c.state == ChunkState.CLAIMED.value, chunks.c.published_at.is_not(None)),
            chunks.c.job_id.in_(_runnable()),
        )
        .group_by(chunks.c.job_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def count_waiting(connection: Connection) -> tuple[int, int]:
    """Count the chunks of runnable jobs that have a message and no worker, and the jobs that want places for more."""
    waiting = select(func.count()).where(chunks.c.published_at.is_not(None), *_dispatched_and_runnable())
    left = select(func.count()).where(jobs.c.state.in_(_RUNNABLE), jobs.c.next_ordinal < jobs.c.users_total)
    counts = connection.execute(select(waiting.scalar_subquery(), left.scalar_subquery())).one()
    return counts[0], counts[1]


def any_more_urgent_waits(connection: Connection, job_id: int) -> bool:
    """Tell whether a chunk of a job with a higher priority than this one's waits for a worker."""
    own = select(jobs.c.priority).where(jobs.c.id == job_id).scalar_subquery()
    more_urgent = chunks.c.job_id.in_(_runnable().where(jobs.c.priority > own))
    query = select(chunks.c.id).where(chunks.c.state == ChunkState.DISPATCHED.value, more_urgent)
    return connection.execute(query.limit(1)).first() is not None


def any_unfinished(connection: Connection, job_id: int) -> bool:
    """Tell whether a job has chunks that are not done."""
    query = select(chunks.c.id).where(chunks.c.job_id == job_id, chunks.c.state != ChunkState.DONE.value)
    return connection.execute(query.limit(1)).first() is not None


def _dispatched_and_runnable() -> tuple[ColumnElement[bool], ...]:
    return chunks.c.state == ChunkState.DISPATCHED.value, chunks.c.job_id.in_(_runnable())


def is_closed(connection: Connection, job_id: int) -> bool:
    """Tell whether a job's closing has come."""
    return (
        connection.execute(_closed(database_now(connection.dialect.name)).where(jobs.c.id == job_id)).first()
        is not None
    )


def _runnable() -> Select[int]:
    return select(jobs.c.id).where(jobs.c.state.in_(_RUNNABLE))


def _open_until(moment: ColumnElement[datetime]) -> Select[int]:
    """Find the runnable jobs that do not close until then."""
    return _runnable().where(or_(jobs.c.closes_at.is_(None), jobs.c.closes_at > moment))


def _closed(now: ColumnElement[datetime]) -> Select[int]:
    return select(jobs.c.id).where(jobs.c.closes_at <= now)


def _held(claim: Claim):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an expression of SQLAlchemy's
    return (
        (chunks.c.id == claim.chunk_id) & (chunks.c.fence == claim.fence) & (chunks.c.state == ChunkState.CLAIMED.value)
    )


def insert_rest(connection: Connection, job_id: int, first: int, last: int) -> None:
    """Dispatch what was split off from a chunk; it waits for a place of the window."""
    if first <= last:
        insert_chunk(connection, job_id, first, last)


def failed_alone(connection: Connection, reason: str) -> dict[str, object]:
    """Give the values of a chunk whose only user is given up."""
    return {
        "state": ChunkState.DONE.value,
        "fence": chunks.c.fence + 1,
        "done_at": read_now(connection),
        "users_failed": 1,
        "outcomes": encode_outcomes([0], {}, {0: reason}),
    }


def dispatched_again() -> dict[str, object]:
    """Give the values of a chunk that is to be run again by whoever claims it next."""
    return {
        "state": ChunkState.DISPATCHED.value,
        "fence": chunks.c.fence + 1,
        "worker_id": None,
        "process_id": None,
        "claimed_at": None,
        "deadline": None,
        "published_at": None,
    }
