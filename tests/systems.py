"""Random small learning systems and random requests to reset them, for property tests.

The systems are odd on purpose: shared chapters, chapters in no course, empty courses, missing rows, statuses
that contradict their dates, and times on, just before and just after the cut-off. Ids of users, courses and
chapters never meet, and some need 64 bits, so that no mix-up goes unseen.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.model import Counts, Selection, System, chosen_content, reset_in_progress, reset_training

LOCATIONS = (1, 2)
USERS = (11, 12, 13, 2**40 + 14)
CATEGORIES = (21, 22)
ROLES = (31, 32)
COURSES = (101, 102, 103, 2**40 + 104)
CHAPTERS = (1001, 1002, 1003, 1004, 1005, 2**40 + 1006)
FIRST_ATTEMPT = 2**33

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MOMENTS = (
    CUTOFF - timedelta(days=400),
    CUTOFF - _MICROSECOND,
    CUTOFF,
    CUTOFF + _MICROSECOND,
    CUTOFF + timedelta(days=40, hours=3, microseconds=250_000),
)
STATUSES = ("not_started", "in_progress", "incomplete", "completed")

_moments = st.sampled_from(MOMENTS)
_moments_or_none = st.sampled_from((None, *MOMENTS))
# What most rules turn on comes up most.
_status = st.sampled_from((*STATUSES, "in_progress", "in_progress", "completed", "completed"))
_dates = {
    "started_at": _moments_or_none,
    "completed_at": _moments_or_none,
    "last_activity_at": st.sampled_from((None, *MOMENTS, MOMENTS[0], MOMENTS[1])),
}
_course_rows = st.fixed_dictionaries({"status": _status} | _dates)
_courses_completed_in_time = st.fixed_dictionaries(
    {"status": st.just("completed")} | _dates | {"completed_at": st.sampled_from(MOMENTS[:3])}
)
_chapter_rows = st.fixed_dictionaries(
    {"status": _status, "position_seconds": st.sampled_from((0, 90))} | _dates
)
_already = {"status": "incomplete", "started_at": None, "completed_at": None}
_courses_already_reset = st.fixed_dictionaries(
    {key: st.just(value) for key, value in _already.items()} | {"last_activity_at": _moments_or_none}
)
_chapters_already_reset = st.fixed_dictionaries(
    {key: st.just(value) for key, value in _already.items()}
    | {"position_seconds": st.just(0), "last_activity_at": _moments_or_none}
)
_attempts = st.fixed_dictionaries(
    {
        "started_at": _moments,
        "finished_at": _moments_or_none,
        "score": st.sampled_from((None, 0.0, 60.0, 79.95)),
        "passed": st.sampled_from((None, False, True)),
    }
)


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


def _some(values: tuple[int, ...], least: int = 0) -> SearchStrategy[tuple[int, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=least).map(tuple)


@st.composite
def systems(draw: DrawFn) -> System:
    """Draw a system of at most four users, four courses and six chapters."""
    system = System()
    courses = COURSES[: draw(st.integers(1, len(COURSES)))]
    chapters = CHAPTERS[: draw(st.integers(1, len(CHAPTERS)))]
    _draw_content(draw, system, courses, chapters)
    for location in LOCATIONS:
        system.add("locations", id=location, name=f"Location {location}")
    for user in USERS[: draw(st.integers(1, len(USERS)))]:
        system.add(
            "users",
            id=user,
            login=f"user{user}",
            name=f"User {user}",
            location_id=draw(st.sampled_from(LOCATIONS)),
            access=draw(st.sampled_from(("learner", "admin", "super_user"))),
        )
        for role in draw(_some(ROLES)):
            system.add("user_content_roles", user_id=user, content_role_id=role)
        _draw_records(draw, system, user, courses, chapters)
    return system


def _draw_content(draw: DrawFn, system: System, courses: tuple[int, ...], chapters: tuple[int, ...]) -> None:
    for category in CATEGORIES:
        system.add("categories", id=category, name=f"Category {category}")
    for chapter in chapters:
        system.add("chapters", id=chapter, name=f"Chapter {chapter}")
    for course in courses:
        category = draw(st.sampled_from(CATEGORIES))
        system.add("courses", id=course, category_id=category, name=f"Course {course}")
        for position, chapter in enumerate(draw(_some(chapters))):
            system.add("course_chapters", course_id=course, chapter_id=chapter, position=position)
    for role in ROLES:
        system.add("content_roles", id=role, name=f"Role {role}")
        for course in draw(_some(courses)):
            system.add("content_role_courses", content_role_id=role, course_id=course)
        for chapter in draw(_some(chapters)):
            system.add("content_role_chapters", content_role_id=role, chapter_id=chapter)


def _draw_records(
    draw: DrawFn, system: System, user: int, courses: tuple[int, ...], chapters: tuple[int, ...]
) -> None:
    for course in courses:
        row = draw(
            st.one_of(
                st.none(), _course_rows, _course_rows, _courses_completed_in_time, _courses_already_reset
            )
        )
        if row is not None:
            system.add("course_progress", user_id=user, course_id=course, **row)
    for chapter in chapters:
        row = draw(st.one_of(st.none(), *[_chapter_rows] * 5, _chapters_already_reset))
        if row is not None:
            system.add("chapter_progress", user_id=user, chapter_id=chapter, **row)
        for attempt in draw(st.just([]) | st.lists(_attempts, max_size=3)):
            number = FIRST_ATTEMPT + len(system.tables["attempts"])
            system.add("attempts", id=number, user_id=user, chapter_id=chapter, **attempt)


@st.composite
def requests(draw: DrawFn, system: System, kind: str, *, filtered: bool) -> Request:
    """Draw a request of one kind for some of a system's users and content."""
    courses = tuple(system.ids("courses"))
    chapters = tuple(system.ids("chapters"))
    selections = st.one_of(
        st.builds(Selection, chapters=_some(chapters, least=1)),
        st.builds(Selection, courses=_some(courses, least=1)),
        st.builds(Selection, courses=_some(courses), chapters=_some(chapters)),
        st.builds(Selection, content_roles=_some(ROLES), categories=_some(CATEGORIES)),
        st.just(Selection(all_content=True)),
        st.just(Selection(all_chapters=True)),
    )
    everybody = tuple(system.ids("users"))
    return Request(
        kind=kind,
        users=draw(st.just(everybody) | _some(everybody, least=1)),
        selection=draw(selections),
        cutoff=CUTOFF if filtered else None,
    )


@st.composite
def systems_with_requests(draw: DrawFn, kind: str, *, filtered: bool) -> tuple[System, Request]:
    """Draw a system and a request of one kind for it, with a cut-off or without."""
    system = draw(systems())
    return system, draw(requests(system, kind, filtered=filtered))
