"""What each kind of reset does to which records, as data.

Nothing else in the program knows what a reset changes: the engine turns these lists into statements, and
another learning system's tables are another list. The rules are those of `docs/rules.md`.
"""

from dataclasses import dataclass, replace
from enum import Enum

from sqlalchemy import Table

from jobs.model import Kind
from jobs.records import tables


class Scope(Enum):
    """Which rows of a record set an effect is about."""

    CHAPTERS = "rows of the chapters of the job"
    COURSES = "rows of the courses chosen as a whole"
    PARENTS = "rows of the other courses that hold a chapter of the job"


@dataclass(frozen=True)
class RecordSet:
    """One table of records: a row belongs to a user and to a chapter or course."""

    table: Table
    content: str
    counter: str
    user: str = "user_id"


ATTEMPTS = RecordSet(tables.attempts, "chapter_id", "attempts_erased")
CHAPTER_PROGRESS = RecordSet(tables.chapter_progress, "chapter_id", "chapters_reset")
COURSE_PROGRESS = RecordSet(tables.course_progress, "course_id", "courses_reset")

LIVE_STATUSES = ("in_progress", "completed")
"""A course with a chapter of such a status is still going on."""


@dataclass(frozen=True)
class Effect:
    """What happens to the rows of one record set.

    Attributes:
        values: the columns to set; None erases the rows.
        only_status: touch only rows of this status.
        only_idle: under a cut-off, touch only rows whose last activity is known and before it.
        only_without: touch a course only if none of its chapters has one of these statuses afterwards.

    """

    records: RecordSet
    scope: Scope
    values: tuple[tuple[str, object], ...] | None
    only_status: str | None = None
    only_idle: bool = False
    only_without: tuple[str, ...] = ()


_INCOMPLETE = (("status", "incomplete"), ("started_at", None), ("completed_at", None))
_NOT_STARTED = (("status", "not_started"), ("started_at", None))
_REWOUND = (("position_seconds", 0),)

_TRAINING = (
    Effect(
        COURSE_PROGRESS,
        Scope.PARENTS,
        (("status", "incomplete"), ("completed_at", None)),
        only_status="completed",
    ),
    Effect(
        COURSE_PROGRESS,
        Scope.PARENTS,
        (("status", "incomplete"),),
        only_status="in_progress",
        only_without=LIVE_STATUSES,
    ),
    Effect(ATTEMPTS, Scope.CHAPTERS, None),
    Effect(CHAPTER_PROGRESS, Scope.CHAPTERS, _INCOMPLETE + _REWOUND),
    Effect(COURSE_PROGRESS, Scope.COURSES, _INCOMPLETE),
)


_IN_PROGRESS_PARENTS = Effect(
    COURSE_PROGRESS,
    Scope.PARENTS,
    _NOT_STARTED,
    only_status="in_progress",
    only_idle=True,
    only_without=LIVE_STATUSES,
)
_IN_PROGRESS_COURSES = Effect(
    COURSE_PROGRESS,
    Scope.COURSES,
    _NOT_STARTED,
    only_status="in_progress",
    only_idle=True,
)
_IN_PROGRESS_CHAPTERS = Effect(
    CHAPTER_PROGRESS,
    Scope.CHAPTERS,
    _NOT_STARTED + _REWOUND,
    only_status="in_progress",
    only_idle=True,
)

# Every chapter in progress goes, so none can hold its course; unless some stay because they are not idle.
_IN_PROGRESS = (_IN_PROGRESS_PARENTS, _IN_PROGRESS_CHAPTERS, _IN_PROGRESS_COURSES)
_IN_PROGRESS_IDLE = (
    _IN_PROGRESS_PARENTS,
    replace(_IN_PROGRESS_COURSES, only_without=("in_progress",)),
    _IN_PROGRESS_CHAPTERS,
)


def effects_of(kind: Kind, *, with_cutoff: bool) -> tuple[Effect, ...]:
    """Give the effects of a kind of reset, in the order in which they are applied.

    Rows are chosen by what the records said before the reset. So courses come before the chapters and attempts that
    decide about them. What nothing decides about comes in the order in which learning systems write: attempt,
    chapter, course. So a learner at work waits for a chunk, or a chunk for the learner, and not each for the other.
    """
    if kind is Kind.TRAINING:
        return _TRAINING
    return _IN_PROGRESS_IDLE if with_cutoff else _IN_PROGRESS
