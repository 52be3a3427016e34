"""Which records fall due for a reset some day: what is completed or in progress, and since when."""

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from jobs.idsets import id_sets
from jobs.model import Kind
from jobs.records.effects import ATTEMPTS, CHAPTER_PROGRESS, COURSE_PROGRESS, RecordSet, Scope, effects_of
from jobs.records.people import Targets

_PAGE = 1000

Since = tuple[int, int, datetime | None]
"""A user, a chapter or course, and since when it is as it is."""


def completed_courses(connection: Connection, targets: Targets, courses: Collection[int]) -> Iterator[Since]:
    """Give the courses that users have completed, where it is known when."""
    table = COURSE_PROGRESS.table.c
    return _rows(connection, targets, COURSE_PROGRESS, courses, "completed", table.completed_at)


def courses_in_progress(connection: Connection, targets: Targets, courses: Collection[int]) -> Iterator[Since]:
    """Give the courses that users have in progress, with their last activity."""
    table = COURSE_PROGRESS.table.c
    return _rows(connection, targets, COURSE_PROGRESS, courses, "in_progress", table.last_activity_at)


def chapters_in_progress(connection: Connection, targets: Targets, chapters: Collection[int]) -> Iterator[Since]:
    """Give the chapters that users have in progress, with their last activity."""
    table = CHAPTER_PROGRESS.table.c
    return _rows(connection, targets, CHAPTER_PROGRESS, chapters, "in_progress", table.last_activity_at)


def _rows(
    connection: Connection,
    targets: Targets,
    records: RecordSet,
    content: Collection[int],
    status: str,
    since: ColumnElement[datetime | None],
) -> Iterator[Since]:
    table, sets = records.table, id_sets(connection.dialect.name)
    user, of = table.c[records.user], table.c[records.content]
    query = select(user, of, since).where(
        user.in_(targets.ids), sets.among(of, "due_content"), table.c.status == status
    )
    parameters = targets.parameters | sets.parameters("due_content", content)
    for row in connection.execute(query.execution_options(yield_per=10_000), parameters):
        yield row[0], row[1], row[2]


def resettable_chapters(
    connection: Connection, user_ids: Collection[int], chapters: Collection[int]
) -> set[tuple[int, int]]:
    """Give each user and chapter of which [203] would erase or change a row."""
    sets, users = id_sets(connection.dialect.name), sorted(user_ids)
    found: set[tuple[int, int]] = set()
    for effect in effects_of(Kind.TRAINING, with_cutoff=True):
        if effect.scope is not Scope.CHAPTERS or effect.records not in (ATTEMPTS, CHAPTER_PROGRESS):
            continue
        table = effect.records.table
        user, chapter = table.c[effect.records.user], table.c[effect.records.content]
        query = select(user, chapter).where(sets.among(user, "due_users"), sets.among(chapter, "due_content"))
        if effect.values is not None:
            query = query.where(or_(*(table.c[name].is_distinct_from(value) for name, value in effect.values)))
        for start in range(0, len(users), _PAGE):
            parameters = sets.parameters("due_users", users[start : start + _PAGE])
            rows = connection.execute(query.distinct(), parameters | sets.parameters("due_content", chapters))
            found |= {(row[0], row[1]) for row in rows}
    return found
