"""The values of the domain: kinds, states and their edges, jobs, content, counts and outcomes.

Standard library only: these rules can be read and tested alone.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from jobs.windows import Window


class Kind(StrEnum):
    """What a job does to training records; the menu numbers are those of the dashboard."""

    TRAINING = "training"
    IN_PROGRESS = "in_progress"


class Access(StrEnum):
    """What a user may do."""

    LEARNER = "learner"
    ADMIN = "admin"
    SUPER_USER = "super_user"


class JobState(StrEnum):
    """Where a job stands in its life."""

    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    HOLDING = "holding"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def ended(self) -> bool:
        """Whether nothing can come after it."""
        return not any(edge.before is self for edge in EDGES)


@dataclass(frozen=True)
class Edge:
    """One allowed change of state, with the sentence that explains it."""

    before: JobState
    after: JobState
    sentence: str


_STOPPABLE = {
    JobState.QUEUED: "is waiting for a worker",
    JobState.RUNNING: "has chunks in flight",
    JobState.HOLDING: "is waiting by itself",
}

EDGES: tuple[Edge, ...] = (
    Edge(JobState.AWAITING_APPROVAL, JobState.QUEUED, "Somebody else approved it."),
    Edge(JobState.AWAITING_APPROVAL, JobState.REJECTED, "Somebody else rejected it."),
    Edge(JobState.AWAITING_APPROVAL, JobState.CANCELLING, "It was cancelled before anybody approved it."),
    Edge(JobState.QUEUED, JobState.RUNNING, "A worker claimed its first chunk."),
    Edge(JobState.QUEUED, JobState.HOLDING, "The system makes it wait, and says why."),
    Edge(JobState.RUNNING, JobState.HOLDING, "The system makes it wait, and says why."),
    Edge(JobState.HOLDING, JobState.QUEUED, "What made it wait is over, before its first chunk."),
    Edge(JobState.HOLDING, JobState.RUNNING, "What made it wait is over."),
    *(Edge(state, JobState.PAUSING, f"Its pause was asked for while it {why}.") for state, why in _STOPPABLE.items()),
    Edge(JobState.PAUSING, JobState.PAUSED, "No chunk is in flight any more, so nothing can commit."),
    Edge(JobState.PAUSED, JobState.QUEUED, "It was resumed."),
    *(
        Edge(state, JobState.CANCELLING, f"Its end was asked for while it {why}.")
        for state, why in {
            **_STOPPABLE,
            JobState.PAUSING: "was about to pause",
            JobState.PAUSED: "was paused",
        }.items()
    ),
    Edge(JobState.CANCELLING, JobState.CANCELLED, "No chunk is in flight any more, so nothing can commit."),
    Edge(JobState.CANCELLING, JobState.FAILED, "Too many users failed to go on, and no chunk is in flight any more."),
    Edge(JobState.RUNNING, JobState.SUCCEEDED, "Every user is done and none failed."),
    Edge(JobState.RUNNING, JobState.COMPLETED_WITH_FAILURES, "Every user is done, and some failed."),
    Edge(JobState.RUNNING, JobState.FAILED, "Every user failed, or too many to go on."),
)
"""Every allowed change of state; the check, the documentation and the test read this table."""


def sources_of(after: JobState) -> tuple[JobState, ...]:
    """Give the states from which a job may go to `after`, the guard of every compare-and-set."""
    return tuple(edge.before for edge in EDGES if edge.after is after)


class ChunkState(StrEnum):
    """Where a chunk of users stands."""

    DISPATCHED = "dispatched"
    CLAIMED = "claimed"
    DONE = "done"


class Outcome(StrEnum):
    """What became of one user of a job."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """How many rows a reset erased or changed; for one user, a chunk, a preview or a whole job."""

    attempts_erased: int = 0
    chapters_reset: int = 0
    courses_reset: int = 0

    def __add__(self, other: Self) -> "Rows":
        return Rows(
            attempts_erased=self.attempts_erased + other.attempts_erased,
            chapters_reset=self.chapters_reset + other.chapters_reset,
            courses_reset=self.courses_reset + other.courses_reset,
        )

    @classmethod
    def total(cls, rows: Collection[Self]) -> "Rows":
        """Add up the rows of many."""
        return Rows(
            attempts_erased=sum(one.attempts_erased for one in rows),
            chapters_reset=sum(one.chapters_reset for one in rows),
            courses_reset=sum(one.courses_reset for one in rows),
        )

    def __bool__(self) -> bool:
        return bool(self.attempts_erased or self.chapters_reset or self.courses_reset)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The user on whose behalf a command runs."""

    id: int
    login: str
    access: Access
    location_id: int


@dataclass(frozen=True, kw_only=True)
class Content:
    """The chapters and courses of a job, resolved to ids.

    Attributes:
        courses: S, the courses chosen as a whole.
        chapters: C, the chapters chosen directly and every chapter of S.
        direct: those of C that were chosen directly.
        structure: (course, chapter) for every chapter of every course that is in S or holds a chapter of C.

    """

    courses: frozenset[int]
    chapters: frozenset[int]
    direct: frozenset[int]
    structure: frozenset[tuple[int, int]]

    @property
    def every_course(self) -> frozenset[int]:
        """S and P."""
        return self.courses | {course for course, _ in self.structure}

    @property
    def parents(self) -> frozenset[int]:
        """P: the other courses that hold a chapter of C."""
        return self.every_course - self.courses


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as the store holds it.

    Attributes:
        windows: when it may run; none means always.
        closes_at: the moment from which nothing of it may commit, until what makes it wait then is over.

    """

    id: int
    kind: Kind
    state: JobState
    state_reason: str | None
    actor_id: int
    actor_login: str
    location_id: int | None
    reason: str
    parent_id: int | None
    cutoff: datetime | None
    priority: int
    max_rate: float | None
    chunk_size: int | None
    not_before: datetime | None
    windows: tuple[Window, ...]
    urgent: bool
    closes_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    users_total: int
    next_ordinal: int
    next_dispatch_at: datetime | None
