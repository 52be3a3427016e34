"""One user's training records, as they are now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from jobs.errors import NotFound
from jobs.records import tables


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """One try at a chapter; not finished, scored or judged where those are None."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    score: float | None
    passed: bool | None


@dataclass(frozen=True, kw_only=True)
class ChapterRecord:
    """A chapter that the user has progress or attempts at, oldest attempt id first.

    Status and position (seconds) are None where there are attempts only.
    """

    id: int
    name: str
    status: str | None
    position_seconds: int | None
    started_at: datetime | None
    completed_at: datetime | None
    last_activity_at: datetime | None
    attempts: tuple[AttemptRecord, ...]


@dataclass(frozen=True, kw_only=True)
class CourseRecord:
    """A course that the user has progress in."""

    id: int
    name: str
    status: str
    started_at: datetime | None
    completed_at: datetime | None
    last_activity_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class UserRecords:
    """A user with courses and chapters, each in order of id."""

    id: int
    login: str
    name: str
    location_id: int
    access: str
    courses: tuple[CourseRecord, ...]
    chapters: tuple[ChapterRecord, ...]


def show_records(connection: Connection, user_id: int) -> UserRecords:
    """Read one user's records.

    Args:
        connection: in a transaction that sees one snapshot.
        user_id: whose records; whether the actor may see them is the caller's to check.

    Raises:
        NotFound: there is no such user.

    """
    users = tables.users
    user = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    if user is None:
        raise NotFound(f"there is no user {user_id}; give the id of another one", {"user_id": user_id})
    return UserRecords(
        id=user.id,
        login=user.login,
        name=user.name,
        location_id=user.location_id,
        access=user.access,
        courses=_courses(connection, user_id),
        chapters=_chapters(connection, user_id),
    )


def _courses(connection: Connection, user_id: int) -> tuple[CourseRecord, ...]:
    courses, progress = tables.courses.c, tables.course_progress.c
    statement = (
        select(
            courses.id,
            courses.name,
            progress.status,
            progress.started_at,
            progress.completed_at,
            progress.last_activity_at,
        )
        .where(progress.user_id == user_id, courses.id == progress.course_id)
        .order_by(courses.id)
    )
    return tuple(CourseRecord(**row) for row in connection.execute(statement).mappings())


def _chapters(connection: Connection, user_id: int) -> tuple[ChapterRecord, ...]:
    chapters, progress = tables.chapters.c, tables.chapter_progress.c
    attempts = _attempts(connection, user_id)
    statement = (
        select(
            chapters.id,
            chapters.name,
            progress.status,
            progress.position_seconds,
            progress.started_at,
            progress.completed_at,
            progress.last_activity_at,
        )
        .select_from(tables.chapters)
        .outerjoin(tables.chapter_progress, and_(progress.chapter_id == chapters.id, progress.user_id == user_id))
        .where(or_(progress.user_id.is_not(None), _attempted(user_id)))
        .order_by(chapters.id)
    )
    return tuple(
        ChapterRecord(**row, attempts=tuple(attempts.get(row["id"], ())))
        for row in connection.execute(statement).mappings()
    )


def _attempted(user_id: int) -> ColumnElement[bool]:
    attempts = tables.attempts.c
    return tables.chapters.c.id.in_(select(attempts.chapter_id).where(attempts.user_id == user_id))


def _attempts(connection: Connection, user_id: int) -> dict[int, list[AttemptRecord]]:
    """Read the user's attempts for each chapter."""
    attempts = tables.attempts.c
    statement = (
        select(
            attempts.chapter_id,
            attempts.id,
            attempts.started_at,
            attempts.finished_at,
            attempts.score,
            attempts.passed,
        )
        .where(attempts.user_id == user_id)
        .order_by(attempts.id)
    )
    by_chapter: dict[int, list[AttemptRecord]] = {}
    for row in connection.execute(statement):
        record = AttemptRecord(
            id=row.id,
            started_at=row.started_at,
            finished_at=row.finished_at,
            score=row.score,
            passed=row.passed,
        )
        by_chapter.setdefault(row.chapter_id, []).append(record)
    return by_chapter
