"""Who falls due for a schedule, and at which of its times, before it happens.

It says what the runs will do if the records stay as they are: the users due at a time are those whom its run changes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from jobs.database import read_now
from jobs.errors import InputRefused
from jobs.model import Content, Kind
from jobs.ownership import resolve_as_owner
from jobs.records import due_rows
from jobs.schedule import Schedule, ScheduleState
from jobs.submission import Resolved

DueAt = Callable[[datetime], datetime | None]
"""The time at which something falls due that has been as it is since a moment; None for never, or not soon."""


@dataclass(frozen=True, kw_only=True)
class DueLine:
    """One chapter or course of a user that falls due.

    Attributes:
        since: when the course was completed, or the last activity of what is in progress.

    """

    due_at: datetime
    user_id: int
    course_id: int | None = None
    chapter_id: int | None = None
    since: datetime


def find_due(connection: Connection, schedule: Schedule, within: timedelta) -> list[DueLine]:
    """Give what falls due within a time from now, in the order in which it does.

    Raises:
        InputRefused: the schedule asks for no age and no date, so that nothing falls due.
        NothingMeant: nobody and nothing is meant by it now.
        OwnerLost: its owner may not do any more what it asks for.

    """
    if schedule.request.cutoff is None:
        filters = "--completed-before" if schedule.request.kind is Kind.TRAINING else "--idle-since"
        raise InputRefused(
            f"the schedule {schedule.name} has no {filters}, so everything falls due at each of its times; "
            "'training-reset preview' counts it"
        )
    now = read_now(connection)
    resolved = resolve_as_owner(connection, schedule, now)
    due_at = _due_at(schedule, now, now + within)
    find = _completed if schedule.request.kind is Kind.TRAINING else _idle
    lines = find(connection, resolved, due_at)
    return sorted(lines, key=lambda line: (line.due_at, line.user_id, line.course_id or 0, line.chapter_id or 0))


def _due_at(schedule: Schedule, now: datetime, until: datetime) -> DueAt:
    cutoff, timing = schedule.request.cutoff, schedule.timing
    first = None if schedule.state is ScheduleState.ENDED else schedule.next_fire_at or next(timing.after(now), None)

    def due_at(since: datetime) -> datetime | None:
        if first is None or first > until:
            return None
        if not isinstance(cutoff, timedelta):
            return first if cutoff is not None and since < cutoff else None
        if since >= until - cutoff:
            return None
        time = first if since + cutoff < first else next(timing.after(since + cutoff), None)
        return time if time is not None and time <= until else None

    return due_at


# [203]: courses completed longer ago than an age.


def _completed(connection: Connection, resolved: Resolved, due_at: DueAt) -> Iterator[DueLine]:
    content, users = resolved.content, defaultdict[int, dict[int, datetime]](dict)
    for user, course, since in due_rows.completed_courses(connection, resolved.targets, content.every_course):
        if since is not None:
            users[user][course] = since
    ripe = {user: completed for user, completed in users.items() if any(due_at(since) for since in completed.values())}
    shape = _Shape.of(content)
    chapters = defaultdict[int, set[int]](set)
    for user, chapter in due_rows.resettable_chapters(connection, ripe, shape.telling):
        chapters[user].add(chapter)
    for user, completed in ripe.items():
        for line in falling(shape, completed, chapters[user], due_at):
            yield replace(line, user_id=user)


@dataclass(frozen=True)
class _Shape:
    """What a run resets of each completed course, and which chapters tell whether it does.

    Attributes:
        kept: for each course that makes somebody due, the chapters that are reset with it.
        chapters: every chapter of each course.
        whole: the courses that are reset themselves.
        telling: chapters that stand in several courses, or that were chosen directly.

    """

    kept: Mapping[int, Collection[int]]
    chapters: Mapping[int, Collection[int]]
    whole: Collection[int]
    telling: Collection[int]

    @classmethod
    def of(cls, content: Content) -> "_Shape":
        kept, chapters = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
        places = defaultdict[int, int](int)
        for course, chapter in content.structure:
            chapters[course].add(chapter)
            places[chapter] += 1
            if course in content.courses or chapter in content.direct:
                kept[course].add(chapter)
        shared = {chapter for chapter, times in places.items() if times > 1}
        return cls(kept, chapters, content.courses, shared | content.direct)


def falling(
    shape: _Shape, completed: Mapping[int, datetime], resettable: Collection[int], due_at: DueAt
) -> Iterator[DueLine]:
    """Give the courses of one user in the order in which they fall due, `user_id` being left 0.

    A course that shares a chapter with one that is reset earlier is not completed any more when its own time comes.
    """
    left, chapters = dict(completed), set(resettable)
    for time in sorted({time for since in completed.values() if (time := due_at(since))}):
        due = [course for course, since in left.items() if due_at(since) == time]
        reset = {chapter for course in due for chapter in shape.kept.get(course, ())} & chapters
        for course in due:
            if course in shape.whole or reset & set(shape.kept.get(course, ())):
                yield DueLine(due_at=time, user_id=0, course_id=course, since=left[course])
        chapters -= reset
        left = {c: since for c, since in left.items() if c not in due and not reset & set(shape.chapters.get(c, ()))}


# [204]: what has been idle for longer than an age.


def _idle(connection: Connection, resolved: Resolved, due_at: DueAt) -> Iterator[DueLine]:
    content, targets = resolved.content, resolved.targets
    courses_of = defaultdict[int, list[int]](list)
    for course, chapter in content.structure:
        courses_of[chapter].append(course)
    last = dict[tuple[int, int], datetime | None]()
    for user, chapter, since in due_rows.chapters_in_progress(connection, targets, content.chapters):
        time = None if since is None else due_at(since)
        for course in courses_of[chapter]:
            before = last.get((user, course), time)
            last[user, course] = None if before is None or time is None else max(before, time)
        if time is not None and since is not None:
            yield DueLine(due_at=time, user_id=user, chapter_id=chapter, since=since)
    for user, course, since in due_rows.courses_in_progress(connection, targets, content.courses):
        time = None if since is None else due_at(since)
        chapters = last.get((user, course), time)
        if time is not None and chapters is not None and since is not None:
            yield DueLine(due_at=max(time, chapters), user_id=user, course_id=course, since=since)
