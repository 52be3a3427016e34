"""How far a job is: totals, speed and what is left. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

from jobs.model import Job, JobState, Rows


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The sums over a job's chunks.

    Attributes:
        recent_users: users done in the last half minute.
        recent_since: when the first of their chunks was claimed.
        recent_collisions: how often these chunks and others who write were in each other's way.

    """

    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    rows: Rows = field(default_factory=Rows)
    chunks_done: int = 0
    chunks_in_flight: int = 0
    chunks_retried: int = 0
    chunk_size: int = 0
    recent_users: int = 0
    recent_since: datetime | None = None
    recent_collisions: int = 0

    @property
    def done(self) -> int:
        """Users whose outcome is known."""
        return self.changed + self.unchanged + self.failed


_ENOUGH_TO_JUDGE = 1000


def too_many_failed(totals: Totals) -> bool:
    """Tell whether a job does more harm than good: more than half of at least 1,000 users failed."""
    return totals.done >= _ENOUGH_TO_JUDGE and totals.failed * 2 > totals.done


def users_per_second(job: Job, totals: Totals, now: datetime) -> float:
    """Give the speed: of the last half minute while a job runs, over its whole time otherwise; 0.0 before it began."""
    if job.started_at is None:
        return 0.0
    users, since = totals.done, job.started_at
    if job.state is JobState.RUNNING and totals.recent_since is not None:
        users, since = totals.recent_users, totals.recent_since
    seconds = ((job.finished_at or now) - since).total_seconds()
    return round(users / seconds, 1) if seconds > 0 else 0.0


def eta_seconds(job: Job, totals: Totals, now: datetime) -> int | None:
    """Give the seconds that are left at the speed so far; None where there is no telling."""
    if job.state.ended:
        return 0
    if job.state is not JobState.RUNNING:
        return None
    speed = users_per_second(job, totals, now)
    return round((job.users_total - totals.done) / speed) if speed > 0 else None
