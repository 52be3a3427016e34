"""Random small learning systems and random requests to reset them, for property tests.

The systems are odd on purpose: shared chapters, chapters in no course, empty courses, missing rows, statuses
that contradict their dates, and times on, just before and just after the cut-off. Ids of users, courses and
chapters never meet, and some need 64 bits, so that no mix-up goes unseen.

Values come from a generator whose seed is drawn, rather than being drawn one by one, for then the systems
differ more. Which rows are there is drawn, so that a failing example shrinks to the rows it needs.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.model import Counts, Selection, chosen_content, reset_in_progress, reset_training
from tests.plainsystem import System

LOCATIONS = (1, 2)
USERS = (11, 12, 13, 2**40 + 14)
CATEGORIES = (21, 22)
ROLES = (31, 32)
COURSES = (101, 102, 103, 2**40 + 104)
CHAPTERS = (1001, 1002, 1003, 1004, 1005, 2**40 + 1006)
FIRST_ATTEMPT = 2**33

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
MOMENTS = (
    CUTOFF - timedelta(days=400),
    CUTOFF - timedelta(microseconds=1),
    CUTOFF,
    CUTOFF + timedelta(microseconds=1),
    CUTOFF + timedelta(days=40, hours=3, microseconds=250_000),
)
STATUSES = ("not_started", "in_progress", "incomplete", "completed")

_TIMES = (None, *MOMENTS)
_TIMES_MOSTLY_BEFORE_THE_CUTOFF = (*_TIMES, MOMENTS[0], MOMENTS[0], MOMENTS[1], MOMENTS[1])
_CHAPTER_STATUSES = (*STATUSES, "in_progress")
_COURSE_STATUSES = {
    "training": (*STATUSES, "completed", "completed", "completed", "in_progress", "in_progress"),
    "in_progress": (*STATUSES, "in_progress", "in_progress", "in_progress", "in_progress"),
}
"""By the kind of reset: the statuses that its rules turn on come up most."""

_is_there = st.sampled_from((False, True, True, True, True))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One reset that somebody asks for: `training` or `in_progress`, of whom, of what, since when."""

    kind: str
    users: tuple[int, ...]
    selection: Selection
    cutoff: datetime | None

    def apply_to(self, system: System) -> dict[int, Counts]:
        """Reset a system by the plain rules and give the counts of each user."""
        courses, chapters = chosen_content(system, self.selection)
        rule = reset_training if self.kind == "training" else reset_in_progress
        return rule(system, self.users, courses, chapters, self.cutoff)


@st.composite
def systems(draw: DrawFn, kind: str) -> System:
    """Draw a system of at most four users, four courses and six chapters."""
    chance = Random(draw(st.integers(0, 2**32 - 1)))
    whole = _whole_system(chance, kind)
    users = USERS[: draw(st.integers(1, len(USERS)))]
    system = System()
    for table, rows in whole.tables.items():
        for row in rows.values():
            if row.get("user_id", users[0]) not in users or (table == "users" and row["id"] not in users):
                continue
            # Entities stay; links, progress and attempts may be missing.
            if ("id" in row and table != "attempts") or draw(_is_there):
                system.add(table, **row)
    return system


def _whole_system(chance: Random, kind: str) -> System:
    system = System()
    for location in LOCATIONS:
        system.add("locations", id=location, name=f"Location {location}")
    for user in USERS:
        access = chance.choice(("learner", "admin", "super_user"))
        location = chance.choice(LOCATIONS)
        system.add("users", id=user, login=f"user{user}", name="User", location_id=location, access=access)
    _add_content(chance, system)
    for user in USERS:
        for role in _sample(chance, ROLES, 2):
            system.add("user_content_roles", user_id=user, content_role_id=role)
        for course in COURSES:
            row = _progress(chance, _COURSE_STATUSES[kind])
            system.add("course_progress", user_id=user, course_id=course, **row)
        for chapter in CHAPTERS:
            row = _progress(chance, _CHAPTER_STATUSES, position_seconds=chance.choice((0, 90)))
            system.add("chapter_progress", user_id=user, chapter_id=chapter, **row)
            for _ in range(chance.choice((0, 0, 0, 1, 2))):
                _add_attempt(chance, system, user, chapter)
    return system


def _add_content(chance: Random, system: System) -> None:
    for category in CATEGORIES:
        system.add("categories", id=category, name=f"Category {category}")
    for chapter in CHAPTERS:
        system.add("chapters", id=chapter, name=f"Chapter {chapter}")
    for course in COURSES:
        category = chance.choice(CATEGORIES)
        system.add("courses", id=course, category_id=category, name=f"Course {course}")
        for position, chapter in enumerate(chance.sample(CHAPTERS, chance.choice((0, 1, 2, 2, 3, 3, 4)))):
            system.add("course_chapters", course_id=course, chapter_id=chapter, position=position)
    for role in ROLES:
        system.add("content_roles", id=role, name=f"Role {role}")
        for course in _sample(chance, COURSES, 2):
            system.add("content_role_courses", content_role_id=role, course_id=course)
        for chapter in _sample(chance, CHAPTERS, 3):
            system.add("content_role_chapters", content_role_id=role, chapter_id=chapter)


def _add_attempt(chance: Random, system: System, user: int, chapter: int) -> None:
    system.add(
        "attempts",
        id=FIRST_ATTEMPT + len(system.tables["attempts"]),
        user_id=user,
        chapter_id=chapter,
        started_at=chance.choice(MOMENTS),
        finished_at=chance.choice(_TIMES),
        score=chance.choice((None, 0.0, 60.0, 79.95)),
        passed=chance.choice((None, False, True)),
    )


def _progress(chance: Random, statuses: tuple[str, ...], **columns: int) -> dict[str, object]:
    last_activity = chance.choice(_TIMES_MOSTLY_BEFORE_THE_CUTOFF)
    if chance.random() < 0.15:  # as a reset of training data leaves it
        row = dict.fromkeys(columns, 0)
        return row | {"status": "incomplete", "started_at": None, "completed_at": None} | {
            "last_activity_at": last_activity
        }  # fmt: skip
    return columns | {
        "status": chance.choice(statuses),
        "started_at": chance.choice(_TIMES),
        "completed_at": chance.choice(_TIMES_MOSTLY_BEFORE_THE_CUTOFF),
        "last_activity_at": last_activity,
    }


def _sample(chance: Random, values: tuple[int, ...], most: int) -> list[int]:
    return chance.sample(values, chance.randint(0, most))


def _some(values: tuple[int, ...], least: int = 0, most: int | None = None) -> SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=least, max_size=most).map(tuple)


@st.composite
def requests(draw: DrawFn, system: System, kind: str, *, filtered: bool) -> Request:
    """Draw a request of one kind for some of a system's users and content, which is never nothing."""
    selections = st.one_of(
        st.builds(Selection, chapters=_some(CHAPTERS, least=1, most=3)),
        st.builds(Selection, chapters=_some(CHAPTERS, least=1)),
        st.builds(Selection, courses=_some(COURSES, least=1)),
        st.builds(Selection, courses=_some(COURSES, most=2), chapters=_some(CHAPTERS, most=2)),
        st.builds(Selection, content_roles=_some(ROLES), categories=_some(CATEGORIES, most=1)),
        st.just(Selection(all_content=True)),
        st.just(Selection(all_chapters=True)),
    )
    everybody = tuple(system.ids("users"))
    return Request(
        kind=kind,
        users=draw(st.just(everybody) | st.just(everybody) | _some(everybody, least=1)),
        selection=draw(selections.filter(lambda selection: any(chosen_content(system, selection)))),
        cutoff=CUTOFF if filtered else None,
    )


@st.composite
def systems_with_requests(draw: DrawFn, kind: str, *, filtered: bool) -> tuple[System, Request]:
    """Draw a system and a request of one kind for it, with a cut-off or without."""
    system = draw(systems(kind))
    return system, draw(requests(system, kind, filtered=filtered))
