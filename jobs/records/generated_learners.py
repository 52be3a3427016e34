"""Made-up learners with their progress and attempts; knows nothing of databases.

Each learner's rows are drawn from a `random.Random` of its own, seeded with the seed and the learner's id.
Most of them are consistent, as a learning system leaves them; a few learners are odd on purpose, since real
records are odd too.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from jobs.records.fileformat import Row
from jobs.records.generated_system import Catalogue, catalogue, count_locations

FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""No time lies before this one, and most in the half year after it."""

FIRST_LEARNER = 1001
"""Ids below are for `root` and the administrators."""

_FIRST_NAMES = (
    "Ada",
    "Boris",
    "Chloë",
    "Deniz",
    "Eva",
    "Femi",
    "Grace",
    "Hiro",
    "Inés",
    "Jan",
    "Kofi",
    "Lena",
)
_LAST_NAMES = ("Abbott", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "García", "Haddad", "Ito", "Jansen")
_PASS_SCORE = 60
_ODD_EVERY = 25

_CHAPTERS_BY_COURSE = {
    "completed": ("completed",),
    "in_progress": ("completed", "completed", "in_progress", "in_progress", "not_started"),
    "incomplete": ("completed", "incomplete", "incomplete"),
    "not_started": ("not_started",),
}
"""What the chapters of a course of each status are drawn from."""


def learner_rows(*, users: int, seed: int, at_once: int) -> Iterator[dict[str, list[Row]]]:
    """Give the rows of all learners, by table name, so many learners at a time."""
    known = catalogue()
    locations = count_locations(users)
    next_attempt = 1
    for first in range(0, users, at_once):
        rows: dict[str, list[Row]] = {
            "users": [],
            "user_content_roles": [],
            "chapter_progress": [],
            "course_progress": [],
            "attempts": [],
        }
        for index in range(first, min(users, first + at_once)):
            learner = _Learner(FIRST_LEARNER + index, seed, known, locations)
            learner.live(index % _ODD_EVERY)
            learner.write(rows, next_attempt)
            next_attempt += len(learner.attempts)
        yield rows


class _Learner:
    """One learner, whose records grow in the order of its life."""

    def __init__(self, user_id: int, seed: int, known: Catalogue, locations: int) -> None:
        self.id = user_id
        self.random = Random(f"{seed}:{user_id}")
        self.known = known
        # The second location is half as large as the first, the third a third, and so on.
        sizes = [1 / place for place in range(1, locations + 1)]
        self.location = self.random.choices(range(1, locations + 1), sizes)[0]
        self.roles = self._draw_roles()
        self.chapters: dict[int, Row] = {}
        self.courses: dict[int, Row] = {}
        self.attempts: list[Row] = []

    def write(self, rows: dict[str, list[Row]], first_attempt: int) -> None:
        """Add this learner's rows to those of others, with attempt ids from the first one given."""
        name = f"{self.random.choice(_FIRST_NAMES)} {self.random.choice(_LAST_NAMES)}"
        rows["users"].append((self.id, f"learner.{self.id}", name, self.location, "learner"))
        rows["user_content_roles"] += [(self.id, role) for role in self.roles]
        rows["chapter_progress"] += [(self.id, chapter, *row) for chapter, row in self.chapters.items()]
        rows["course_progress"] += [(self.id, course, *row) for course, row in self.courses.items()]
        rows["attempts"] += [(attempt, self.id, *row) for attempt, row in enumerate(self.attempts, first_attempt)]

    def live(self, oddity: int) -> None:
        """Take some courses and perhaps a chapter outside them; a small number makes the learner odd."""
        when = FIRST_DAY + timedelta(minutes=self.random.randrange(60 * 24 * 90))
        for course in self._draw_courses():
            when = self._take_course(course, when) + timedelta(days=self.random.randrange(1, 15))
        if self.random.random() < 0.3:  # noqa: PLR2004 - about a third
            loose = self.random.choice(self.known.loose_chapters)
            self._take_chapter(loose, self.random.choice(("completed", "in_progress")), when)
        _ODDITIES.get(oddity, _leave_alone)(self, when)

    def _draw_roles(self) -> list[int]:
        others = self.random.sample(range(2, 8), self.random.choice((0, 1, 1, 2)))
        everyone = [1] if self.random.random() < 0.9 or not others else []  # noqa: PLR2004 - nearly all
        return sorted([*everyone, *others])

    def _draw_courses(self) -> list[int]:
        """Draw from the courses of the learner's roles, with one of its own choice."""
        through_roles = {course for role in self.roles for course in self.known.courses_of_role.get(role, [])}
        drawn = sorted(through_roles)[:1] + self.random.sample(list(self.known.chapters_of), 1)
        if len(through_roles) > 1 and self.random.random() < 0.5:  # noqa: PLR2004 - half of those who can
            drawn.append(self.random.choice(sorted(through_roles)[1:]))
        return sorted(set(drawn))

    def _take_course(self, course: int, when: datetime) -> datetime:
        status = self.random.choices(tuple(_CHAPTERS_BY_COURSE), (45, 30, 10, 15))[0]
        started = when
        for chapter in self.known.chapters_of[course]:
            if chapter not in self.chapters:
                drawn = self.random.choice(_CHAPTERS_BY_COURSE[status])
                when = self._take_chapter(chapter, drawn, when)
        touched = status != "not_started"
        self.courses[course] = (
            status,
            started if touched else None,
            when if status == "completed" else None,
            when if touched else None,
        )
        return when

    def _take_chapter(self, chapter: int, status: str, when: datetime) -> datetime:
        if status == "not_started":
            self.chapters[chapter] = (status, 0, None, None, None)
            return when
        started = when
        for _ in range(self.random.choice((0, 0, 0, 0, 0, 1, 2))):
            when = self._attempt(chapter, when, "failed")
        when = self._attempt(chapter, when, _LAST_ATTEMPT[status])
        completed = when if status == "completed" else None
        position = 0 if status == "incomplete" else self.random.randrange(1, 1800)
        self.chapters[chapter] = (status, position, started, completed, when)
        return when

    def _attempt(self, chapter: int, when: datetime, outcome: str) -> datetime:
        finished = when + timedelta(seconds=self.random.randrange(60, 3600))
        if outcome == "open":
            self.attempts.append((chapter, when, None, None, None))
        elif self.random.random() < 0.03:  # noqa: PLR2004 - a few are not marked yet
            self.attempts.append((chapter, when, finished, None, None))
        else:
            passed = outcome == "passed"
            halves = self.random.randrange(2 * _PASS_SCORE, 201) if passed else self.random.randrange(2 * _PASS_SCORE)
            self.attempts.append((chapter, when, finished, halves / 2, passed))
        return finished + timedelta(hours=self.random.randrange(1, 48))


_LAST_ATTEMPT = {"completed": "passed", "in_progress": "open", "incomplete": "failed"}


def _leave_alone(_learner: _Learner, _when: datetime) -> None:
    """Most learners are not odd."""


def _open_chapter_in_completed_course(learner: _Learner, when: datetime) -> None:
    course = min(learner.courses)
    chapter = learner.known.chapters_of[course][-1]
    learner.courses[course] = ("completed", when, when, when)
    learner.chapters[chapter] = ("in_progress", 30, when, None, when)


def _dated_though_not_started(learner: _Learner, when: datetime) -> None:
    learner.chapters[learner.known.loose_chapters[0]] = ("not_started", 0, when, None, when)


def _attempt_without_progress(learner: _Learner, when: datetime) -> None:
    chapter = learner.known.loose_chapters[1]
    learner.chapters.pop(chapter, None)
    learner.attempts.append((chapter, when, when, 100.0, True))


def _activity_unknown(learner: _Learner, when: datetime) -> None:
    learner.chapters[learner.known.loose_chapters[0]] = ("in_progress", 5, when, None, None)


_ODDITIES = {
    7: _open_chapter_in_completed_course,
    11: _dated_though_not_started,
    13: _attempt_without_progress,
    17: _activity_unknown,
}
"""Every 25 learners have one of each."""
