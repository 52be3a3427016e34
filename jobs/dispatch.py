"""Keep the window full: create the chunks that may be in flight now, each just before its message is sent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from jobs.chunking import Allotment, Candidate, Limits, fill_window, next_size
from jobs.database import Database, read_now
from jobs.holding import seconds_needed
from jobs.model import Job, JobState
from jobs.store import chunk_rows, job_rows, lease_rows, outcome_rows, strain_rows

Publish = Callable[[int], None]
"""Send the message of one chunk; raises PublishFailed if it may not have arrived."""


class PublishFailed(Exception):
    """The broker did not take a message. Housekeeping sends it again."""


class WindowSettings(Protocol):
    """The settings of the window."""

    @property
    def window(self) -> int:
        """The most chunks in flight over all jobs, while the database shows no strain."""

    @property
    def chunk_size_start(self) -> int:
        """Users of a job's first chunk."""

    @property
    def chunk_size_max(self) -> int:
        """The most users of a chunk that is sized by the tuner."""

    @property
    def chunk_seconds(self) -> float:
        """The time that a chunk should take."""


def fill(database: Database, settings: WindowSettings, publish: Publish) -> int:
    """Dispatch as many chunks as the window has room for, and again those whose message is missing.

    Returns:
        the number of messages sent.

    Raises:
        PublishFailed: the chunks are recorded, but some messages did not reach the broker.

    """
    with database.write() as connection:
        lease_rows.lock_window(connection)
        chunk_ids = _take_places(connection, settings)
    _send(database, chunk_ids, publish)
    return len(chunk_ids)


def refill(database: Database, settings: WindowSettings, publish: Publish) -> int:
    """Fill the window after a chunk, unless half of it still waits for a worker and no second job wants a place.

    One of those that wait starts at once, and filling costs more than looking.

    Returns:
        the number of messages sent.

    Raises:
        PublishFailed: as for `fill`.

    """
    with database.read() as connection:
        waiting, jobs_left = chunk_rows.count_waiting(connection)
        if 2 * waiting >= settings.window and jobs_left <= 1:
            return 0
    return fill(database, settings, publish)


def _send(database: Database, chunk_ids: list[int], publish: Publish) -> None:
    """Publish chunks that were committed as published; note those that could not be.

    Raises:
        PublishFailed: the broker is out of reach; the rest was not tried.

    """
    for position, chunk_id in enumerate(chunk_ids):
        try:
            publish(chunk_id)
        except PublishFailed:
            with database.write() as connection:
                chunk_rows.mark_unpublished(connection, chunk_ids[position:])
            raise


def _take_places(connection: Connection, settings: WindowSettings) -> list[int]:
    """Give the free places of the window to chunks that have no message yet, or again none, and to new ones."""
    in_flight = chunk_rows.in_flight_by_job(connection)
    free = strain_rows.read_pace(connection).window(settings.window) - sum(in_flight.values())
    if free <= 0:
        return []
    now = read_now(connection)
    needed = timedelta(seconds=seconds_needed(settings.chunk_seconds))
    unsent = chunk_rows.find_unpublished(connection)
    jobs = {
        job.id: job
        for job in job_rows.find_unfinished(connection)
        if _has_time(job, now + needed) and (job.id in unsent or _wants_place(job))
    }
    limits = Limits(start=settings.chunk_size_start, largest=settings.chunk_size_max, seconds=settings.chunk_seconds)
    candidates = [
        _candidate(connection, job, in_flight.get(job.id, 0), len(unsent.get(job.id, ())), limits)
        for job in jobs.values()
    ]
    placed = []
    position = {job.id: job.next_ordinal for job in jobs.values()}
    for allotment in fill_window(free, candidates, now):
        if allotment.size == 0:
            placed.append(unsent[allotment.job_id].pop(0))
        elif (chunk_id := _dispatch(connection, allotment, position[allotment.job_id])) is not None:
            placed.append(chunk_id)
            position[allotment.job_id] += allotment.size
    if placed:
        chunk_rows.mark_published(connection, placed)
    return placed


def _has_time(job: Job, ends: datetime) -> bool:
    """Tell whether a job may run a chunk that ends then."""
    return job.closes_at is None or job.closes_at > ends


def _wants_place(job: Job) -> bool:
    return job.state in (JobState.QUEUED, JobState.RUNNING) and job.next_ordinal < job.users_total


def _candidate(connection: Connection, job: Job, in_flight: int, unsent: int, limits: Limits) -> Candidate:
    return Candidate(
        job_id=job.id,
        priority=job.priority,
        in_flight=in_flight,
        unsent=unsent,
        remaining=job.users_total - job.next_ordinal,
        size=job.chunk_size or _size(connection, job, limits),
        max_rate=job.max_rate,
        not_before=job.next_dispatch_at,
    )


def _size(connection: Connection, job: Job, limits: Limits) -> int:
    recent = outcome_rows.recent_chunks(connection, job.id)
    newest = outcome_rows.newest_size(connection, job.id)
    return next_size(recent, limits, newest=newest, gently=outcome_rows.any_recent_collision(connection, job.id))


def _dispatch(connection: Connection, allotment: Allotment, first: int) -> int | None:
    """Create one chunk, unless its job was stopped meanwhile."""
    if not job_rows.advance(connection, allotment.job_id, first, allotment.size, allotment.next_dispatch_at):
        return None
    return chunk_rows.insert_chunk(connection, allotment.job_id, first, first + allotment.size - 1)
