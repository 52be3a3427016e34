"""The work: a learning system of any size, made by the database itself.

Every learner takes every course. What becomes of a row follows from the ids of its learner and its content alone, so
two systems of one size hold the same records. One chapter in twenty is already as [203] leaves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

FIRST_LEARNER = 1001
FIRST_COURSE = 101
FIRST_CHAPTER = 5001
CHAPTERS_OF_A_COURSE = 5

_LEARNER, _CHAPTER, _COURSE = "learner.id", "chapter.id", "course.id"


@dataclass(frozen=True, kw_only=True)
class Work:
    """How much there is to do.

    Attributes:
        users: learners, besides `root`, who acts.
        courses: each with five chapters; a learner has one or two attempts at each chapter.
        scattered: whether rows lie as time goes by, learners mixed, instead of learner by learner.

    """

    users: int
    courses: int = 4
    scattered: bool = False

    @property
    def chapters(self) -> int:
        """How many chapters there are, each with a row of progress for each learner."""
        return self.courses * CHAPTERS_OF_A_COURSE

    @property
    def everybody(self) -> range:
        """The ids of the learners."""
        return range(FIRST_LEARNER, FIRST_LEARNER + self.users)


def filling(work: Work, dialect: str) -> Iterator[str]:
    """Give the statements that fill an empty schema, in a dialect: `postgresql` or `sqlite`."""
    learners = _numbers("learner", FIRST_LEARNER, work.users)
    courses = _numbers("course", FIRST_COURSE, work.courses)
    chapters = _numbers("chapter", FIRST_CHAPTER, work.chapters)
    yield "INSERT INTO locations VALUES (1, 'Everywhere')"
    yield "INSERT INTO users VALUES (1, 'root', 'Root', 1, 'super_user')"
    yield f"INSERT INTO users SELECT id, 'learner.' || id, 'Learner ' || id, 1, 'learner' FROM {learners} ORDER BY id"
    yield "INSERT INTO categories VALUES (1, 'Everything')"
    yield f"INSERT INTO courses SELECT id, 1, 'Course ' || id FROM {courses}"
    yield f"INSERT INTO chapters SELECT id, 'Chapter ' || id FROM {chapters}"
    position = f"id - {FIRST_CHAPTER}"
    yield (
        f"INSERT INTO course_chapters SELECT {FIRST_COURSE} + ({position}) / {CHAPTERS_OF_A_COURSE}, id, "
        f"({position}) % {CHAPTERS_OF_A_COURSE} FROM {chapters}"
    )
    yield f"INSERT INTO chapter_progress {_chapter_progress(dialect)} FROM {learners} CROSS JOIN {chapters} " + (
        _order(work, _CHAPTER)
    )
    yield f"INSERT INTO course_progress {_course_progress(dialect)} FROM {learners} CROSS JOIN {courses} " + (
        _order(work, _COURSE)
    )
    yield (
        f"INSERT INTO attempts (user_id, chapter_id, started_at, finished_at, score, passed) {_attempts(dialect)} "
        f"FROM {learners} CROSS JOIN {chapters} CROSS JOIN {_numbers('try', 0, 2)} "
        f"WHERE try.id <= ({_LEARNER} + {_CHAPTER}) % 2 {_order(work, _CHAPTER)}, try.id"
    )


def _chapter_progress(dialect: str) -> str:
    state = f"({_LEARNER} * 7 + {_CHAPTER} * 3) % 20"
    return (
        f"SELECT {_LEARNER}, {_CHAPTER}, CASE WHEN {state} < 12 THEN 'completed' WHEN {state} < 16 THEN 'in_progress' "
        f"WHEN {state} < 19 THEN 'not_started' ELSE 'incomplete' END, CASE WHEN {state} < 16 THEN 90 ELSE 0 END, "
        f"CASE WHEN {state} < 16 THEN {_moment(dialect, _CHAPTER)} END, "
        f"CASE WHEN {state} < 12 THEN {_moment(dialect, _CHAPTER, 45)} END, {_moment(dialect, _CHAPTER, 45)}"
    )


def _course_progress(dialect: str) -> str:
    state = f"({_LEARNER} * 3 + {_COURSE}) % 10"
    return (
        f"SELECT {_LEARNER}, {_COURSE}, CASE WHEN {state} < 7 THEN 'completed' WHEN {state} < 9 THEN 'in_progress' "
        f"ELSE 'not_started' END, CASE WHEN {state} < 9 THEN {_moment(dialect, _COURSE)} END, "
        f"CASE WHEN {state} < 7 THEN {_moment(dialect, _COURSE, 45)} END, {_moment(dialect, _COURSE, 45)}"
    )


def _attempts(dialect: str) -> str:
    score = f"({_LEARNER} + {_CHAPTER} * 11) % 101"
    return (
        f"SELECT {_LEARNER}, {_CHAPTER}, {_moment(dialect, _CHAPTER)}, {_moment(dialect, _CHAPTER, 30)}, "
        f"{score} + 0.5, {score} >= 60"
    )


def _moment(dialect: str, content: str, later: int = 0) -> str:
    """Give a minute of the months before a reset, for a learner and its content."""
    minutes = f"(({_LEARNER} * 31 + {content} * 17) % 200000 + {later})"
    if dialect == "sqlite":
        return f"strftime('%Y-%m-%d %H:%M:%f000', '2026-01-05 08:00', {minutes} || ' minutes')"
    return f"timestamptz '2026-01-05 08:00Z' + {minutes} * interval '1 minute'"


def _order(work: Work, content: str) -> str:
    mixed = f"({_LEARNER} * 7919 + {content} * 104729) % 1000003, " if work.scattered else ""
    return f"ORDER BY {mixed}{_LEARNER}, {content}"


def _numbers(name: str, first: int, count: int) -> str:
    """Give so many ids as a table expression, which both databases read."""
    last = first + count - 1
    return (
        f"(WITH RECURSIVE n (id) AS (SELECT {first} UNION ALL SELECT id + 1 FROM n WHERE id < {last}) "
        f"SELECT id FROM n) AS {name}"
    )
