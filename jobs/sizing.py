"""How many users a job's next chunk has: what its latest chunks took tells, and whether others were in their way.

What a chunk has written stays locked until it commits. While learners wait for that, or change what a chunk has
read, chunks take a tenth of the time, so that few are met and none waits long.
"""

from typing import Protocol

from sqlalchemy import Connection

from jobs.chunking import Limits, gentle_size, next_size
from jobs.model import Job
from jobs.store import job_rows, outcome_rows

_GENTLE_SHARE = 0.1


class SizeSettings(Protocol):
    """The settings of a chunk's size."""

    @property
    def chunk_size_start(self) -> int:
        """Users of a job's first chunk."""

    @property
    def chunk_size_max(self) -> int:
        """The most users of a chunk that is sized by the tuner."""

    @property
    def chunk_seconds(self) -> float:
        """The time that a chunk should take."""


def size_of_next(connection: Connection, job: Job, settings: SizeSettings) -> int:
    """Give the users of the next chunk that a job gets."""
    if job.chunk_size is not None:
        return job.chunk_size
    gentle = most_of_a_chunk(connection, job.id, settings)
    if gentle is not None:
        return gentle
    limits = Limits(start=settings.chunk_size_start, largest=settings.chunk_size_max, seconds=settings.chunk_seconds)
    recent = outcome_rows.recent_chunks(connection, job.id)
    return next_size(recent, limits, newest=outcome_rows.newest_size(connection, job.id))


def most_of_a_chunk(connection: Connection, job_id: int, settings: SizeSettings) -> int | None:
    """Give the most users that a chunk of a job may have while others are at work on the same records.

    Returns:
        None if nobody was lately, or if the size was given with the job.

    """
    if not outcome_rows.any_recent_collision(connection, job_id):
        return None
    job = job_rows.find_job(connection, job_id)
    if job is None or job.chunk_size is not None:
        return None
    return gentle_size(outcome_rows.recent_chunks(connection, job_id), _GENTLE_SHARE * settings.chunk_seconds)
