"""The plain model against examples worked by hand, so that it can be trusted as a measure of the engine."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.model import Counts, reset_in_progress, reset_training
from tests.plainsystem import System

LEARNER, OTHER = 11, 12
DAY = datetime(2024, 3, 1, tzinfo=UTC)
BEFORE = DAY - timedelta(microseconds=1)
LONG_BEFORE = DAY - timedelta(days=300)
AFTER = DAY + timedelta(days=1)


def _system(**courses: tuple[int, ...]) -> System:
    """Two learners at one place and courses named like `c101=(1, 2)` with their chapters."""
    system = System()
    system.add("locations", id=1, name="Here")
    system.add("categories", id=5, name="Safety")
    for user in (LEARNER, OTHER):
        system.add("users", id=user, login=f"u{user}", name="N", location_id=1, access="learner")
    for chapter in sorted({chapter for held in courses.values() for chapter in held}):
        system.add("chapters", id=chapter, name="Chapter")
    for name, held in courses.items():
        course = int(name[1:])
        system.add("courses", id=course, category_id=5, name="Course")
        for position, chapter in enumerate(held):
            system.add("course_chapters", course_id=course, chapter_id=chapter, position=position)
    return system


def _chapter(system: System, chapter: int, status: str, user: int = LEARNER, **values: object) -> None:
    row = {"position_seconds": 0} | values
    system.add("chapter_progress", user_id=user, chapter_id=chapter, status=status, **row)


def _course(system: System, course: int, status: str, user: int = LEARNER, **values: object) -> None:
    system.add("course_progress", user_id=user, course_id=course, status=status, **values)


def _attempt(system: System, number: int, chapter: int, user: int = LEARNER, **values: object) -> None:
    system.add("attempts", id=number, user_id=user, chapter_id=chapter, started_at=LONG_BEFORE, **values)


def _chapters(system: System, user: int = LEARNER) -> dict[int, str]:
    return {chapter: row["status"] for chapter, row in system.of_user("chapter_progress", user).items()}


def _courses(system: System, user: int = LEARNER) -> dict[int, str]:
    return {course: row["status"] for course, row in system.of_user("course_progress", user).items()}


def _attempts(system: System) -> list[int]:
    return system.ids("attempts")


# Reset of training data [203]


def test_training_erases_attempts_and_makes_chapters_and_the_course_incomplete() -> None:
    system = _system(c101=(1, 2), c102=(3,))
    _chapter(
        system, 1, "completed", position_seconds=70, started_at=LONG_BEFORE, completed_at=DAY,
        last_activity_at=AFTER,
    )  # fmt: skip
    _chapter(system, 2, "not_started")
    _chapter(system, 3, "completed")
    _course(system, 101, "completed", started_at=LONG_BEFORE, completed_at=DAY, last_activity_at=AFTER)
    _course(system, 102, "completed")
    _attempt(system, 1, 1, finished_at=DAY, score=80.5, passed=True)
    _attempt(system, 2, 1)  # still open
    _attempt(system, 3, 3)
    _attempt(system, 4, 1, user=OTHER)

    counts = reset_training(system, [LEARNER], {101}, set())

    assert counts == {LEARNER: Counts(attempts_erased=2, chapters_reset=2, courses_reset=1)}
    assert counts[LEARNER].outcome == "changed"
    assert _attempts(system) == [3, 4]
    assert system.of_user("chapter_progress", LEARNER)[1] == {
        "user_id": LEARNER,
        "chapter_id": 1,
        "status": "incomplete",
        "position_seconds": 0,
        "started_at": None,
        "completed_at": None,
        "last_activity_at": AFTER,
    }
    assert system.of_user("course_progress", LEARNER)[101] == {
        "user_id": LEARNER,
        "course_id": 101,
        "status": "incomplete",
        "started_at": None,
        "completed_at": None,
        "last_activity_at": AFTER,
    }
    assert _chapters(system) == {1: "incomplete", 2: "incomplete", 3: "completed"}
    assert _courses(system) == {101: "incomplete", 102: "completed"}


def test_training_creates_no_row_where_there_is_none() -> None:
    system = _system(c101=(1, 2))
    _attempt(system, 1, 1)
    assert reset_training(system, [LEARNER, OTHER], {101}, set()) == {
        LEARNER: Counts(attempts_erased=1),
        OTHER: Counts(),
    }
    assert (_chapters(system), _courses(system), _attempts(system)) == ({}, {}, [])


def test_rows_already_as_training_leaves_them_are_not_counted_whatever_their_last_activity() -> None:
    system = _system(c101=(1, 2, 3))
    _chapter(system, 1, "incomplete", last_activity_at=DAY)
    _chapter(system, 2, "incomplete", position_seconds=1)
    _chapter(system, 3, "incomplete", completed_at=DAY)
    _course(system, 101, "incomplete", last_activity_at=DAY)
    assert reset_training(system, [LEARNER], {101}, set()) == {LEARNER: Counts(chapters_reset=2)}
    assert reset_training(system, [LEARNER], {101}, set()) == {LEARNER: Counts()}
    assert Counts().outcome == "unchanged"


def test_training_of_a_shared_chapter_takes_the_completion_of_the_other_course_but_not_its_start() -> None:
    system = _system(c101=(1,), c102=(1, 2), c103=(2,))
    _chapter(system, 1, "completed")
    _chapter(system, 2, "completed")
    for course in (101, 102, 103):
        _course(system, course, "completed", started_at=LONG_BEFORE, completed_at=DAY)

    counts = reset_training(system, [LEARNER], {101}, set())

    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=2)}
    assert _chapters(system) == {1: "incomplete", 2: "completed"}
    parent = system.of_user("course_progress", LEARNER)[102]
    assert (parent["status"], parent["started_at"], parent["completed_at"]) == (
        "incomplete",
        LONG_BEFORE,
        None,
    )
    assert _courses(system)[103] == "completed"


@pytest.mark.parametrize(
    ("sibling", "course_after", "courses_reset"),
    [
        ("not_started", "incomplete", 1),
        ("incomplete", "incomplete", 1),
        ("in_progress", "in_progress", 0),
        ("completed", "in_progress", 0),
    ],
)
def test_training_ends_a_parent_in_progress_only_when_no_chapter_of_it_lives_on(
    sibling: str, course_after: str, courses_reset: int
) -> None:
    system = _system(c101=(1, 2))
    _chapter(system, 1, "completed")
    _chapter(system, 2, sibling)
    # An odd row: in progress and yet with a completion; only the status changes.
    _course(system, 101, "in_progress", started_at=LONG_BEFORE, completed_at=DAY)

    counts = reset_training(system, [LEARNER], set(), {1})

    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=courses_reset)}
    parent = system.of_user("course_progress", LEARNER)[101]
    assert (parent["status"], parent["started_at"], parent["completed_at"]) == (
        course_after,
        LONG_BEFORE,
        DAY,
    )


@pytest.mark.parametrize("status", ["not_started", "incomplete"])
def test_training_leaves_a_parent_that_is_neither_completed_nor_in_progress(status: str) -> None:
    system = _system(c101=(1, 2))
    _chapter(system, 1, "completed")
    _course(system, 101, status, started_at=DAY, completed_at=DAY)
    assert reset_training(system, [LEARNER], set(), {1}) == {LEARNER: Counts(chapters_reset=1)}
    assert system.of_user("course_progress", LEARNER)[101]["completed_at"] == DAY


def test_an_erased_attempt_alone_touches_the_parent_and_nothing_erased_leaves_it() -> None:
    system = _system(c101=(1, 2), c102=(2,))
    _chapter(system, 1, "incomplete")
    _chapter(system, 2, "incomplete")
    _attempt(system, 1, 1)
    _course(system, 101, "completed")
    _course(system, 102, "completed")
    assert reset_training(system, [LEARNER], set(), {1, 2}) == {LEARNER: Counts(attempts_erased=1, courses_reset=1)}
    assert _courses(system) == {101: "incomplete", 102: "completed"}


def test_what_another_user_had_in_a_parent_does_not_touch_this_users_parent() -> None:
    system = _system(c101=(1,))
    _attempt(system, 1, 1, user=OTHER)
    for user in (LEARNER, OTHER):
        _course(system, 101, "completed", user=user)
    assert reset_training(system, [LEARNER, OTHER], set(), {1}) == {
        LEARNER: Counts(),
        OTHER: Counts(attempts_erased=1, courses_reset=1),
    }


def test_a_chapter_that_stands_in_no_course_is_reset_when_chosen() -> None:
    system = _system(c101=(1,))
    system.add("chapters", id=9, name="Alone")
    _chapter(system, 9, "completed")
    _attempt(system, 1, 9)
    _course(system, 101, "completed")
    assert reset_training(system, [LEARNER], set(), {9}) == {LEARNER: Counts(attempts_erased=1, chapters_reset=1)}


def test_a_course_without_chapters_is_reset_as_a_whole() -> None:
    system = _system(c101=())
    _course(system, 101, "not_started", completed_at=DAY)
    assert reset_training(system, [LEARNER], {101}, set()) == {LEARNER: Counts(courses_reset=1)}


# Completed before a date


@pytest.mark.parametrize(
    ("status", "completed_at", "kept"),
    [
        ("completed", BEFORE, True),
        ("completed", DAY, False),
        ("completed", AFTER, False),
        ("completed", None, False),
        ("in_progress", BEFORE, False),
    ],
)
def test_completed_before_keeps_only_courses_completed_before_the_cut_off(
    status: str,
    completed_at: datetime | None,
    kept: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    system = _system(c101=(1,))
    _course(system, 101, status, completed_at=completed_at)
    _chapter(system, 1, "completed", completed_at=LONG_BEFORE)
    counts = reset_training(system, [LEARNER], {101}, set(), completed_before=DAY)
    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=1) if kept else Counts()}


def test_completed_before_takes_a_chosen_chapter_for_any_course_completed_in_time_and_both_are_parents() -> None:
    system = _system(c101=(1, 3), c102=(1,), c103=(2,))
    _course(system, 101, "completed", completed_at=LONG_BEFORE)
    _course(system, 102, "completed", completed_at=AFTER)
    _course(system, 103, "completed", completed_at=AFTER)
    system.add("chapters", id=9, name="Alone")
    for chapter in (1, 2, 3, 9):
        _attempt(system, chapter, chapter)
    counts = reset_training(system, [LEARNER, OTHER], set(), {1, 2, 9}, completed_before=DAY)
    # Chapter 1 through course 101; chapter 2 was completed too late; 9 stands in no course; 3 was not chosen.
    assert counts == {LEARNER: Counts(attempts_erased=1, courses_reset=2), OTHER: Counts()}
    assert _attempts(system) == [2, 3, 9]
    assert _courses(system) == {101: "incomplete", 102: "incomplete", 103: "completed"}


def test_completed_before_makes_a_chosen_course_that_it_does_not_keep_a_parent() -> None:
    system = _system(c101=(1,), c102=(1, 2))
    _course(system, 101, "completed", started_at=LONG_BEFORE, completed_at=LONG_BEFORE)
    _course(system, 102, "completed", started_at=LONG_BEFORE, completed_at=AFTER)
    _chapter(system, 1, "completed")
    _chapter(system, 2, "completed")
    counts = reset_training(system, [LEARNER], {101, 102}, set(), completed_before=DAY)
    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=2)}
    assert _chapters(system) == {1: "incomplete", 2: "completed"}
    rows = system.of_user("course_progress", LEARNER)
    assert rows[101]["started_at"] is None
    assert (rows[102]["status"], rows[102]["started_at"], rows[102]["completed_at"]) == (
        "incomplete",
        LONG_BEFORE,
        None,
    )


# Reset of in-progress data [204]


def test_in_progress_becomes_not_started_and_everything_else_stays() -> None:
    system = _system(c101=(1, 2, 3, 4))
    _chapter(
        system,
        1,
        "in_progress",
        position_seconds=70,
        started_at=DAY,
        completed_at=DAY,
        last_activity_at=AFTER,
    )
    _chapter(system, 2, "completed")
    _chapter(system, 3, "incomplete", position_seconds=5)
    _chapter(system, 4, "not_started", position_seconds=5, started_at=DAY)
    _course(system, 101, "in_progress", started_at=DAY, completed_at=DAY, last_activity_at=AFTER)
    _attempt(system, 1, 1)

    counts = reset_in_progress(system, [LEARNER, OTHER], {101}, set())

    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=1), OTHER: Counts()}
    assert _attempts(system) == [1]
    assert _chapters(system) == {1: "not_started", 2: "completed", 3: "incomplete", 4: "not_started"}
    chapter = system.of_user("chapter_progress", LEARNER)[1]
    assert (chapter["position_seconds"], chapter["started_at"]) == (0, None)
    assert (chapter["completed_at"], chapter["last_activity_at"]) == (DAY, AFTER)
    course = system.of_user("course_progress", LEARNER)[101]
    assert (course["status"], course["started_at"]) == ("not_started", None)
    assert (course["completed_at"], course["last_activity_at"]) == (DAY, AFTER)
    assert system.of_user("chapter_progress", LEARNER)[4]["position_seconds"] == 5


def test_a_whole_course_in_progress_is_not_started_again_even_with_completed_chapters() -> None:
    system = _system(c101=(1,), c102=(1,))
    _chapter(system, 1, "completed")
    _course(system, 101, "in_progress")
    _course(system, 102, "completed")
    assert reset_in_progress(system, [LEARNER], {101, 102}, set()) == {LEARNER: Counts(courses_reset=1)}
    assert _courses(system) == {101: "not_started", 102: "completed"}


@pytest.mark.parametrize(
    ("sibling", "course_after"),
    [
        ("not_started", "not_started"),
        ("incomplete", "not_started"),
        ("in_progress", "in_progress"),
        ("completed", "in_progress"),
    ],
)
def test_in_progress_takes_back_a_parent_only_when_no_chapter_of_it_lives_on(sibling: str, course_after: str) -> None:
    system = _system(c101=(1, 2))
    _chapter(system, 1, "in_progress")
    _chapter(system, 2, sibling)
    _course(system, 101, "in_progress", started_at=DAY)
    counts = reset_in_progress(system, [LEARNER], set(), {1})
    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=int(course_after == "not_started"))}
    row = system.of_user("course_progress", LEARNER)[101]
    assert (row["status"], row["started_at"]) == (
        course_after,
        None if course_after == "not_started" else DAY,
    )


def test_in_progress_leaves_a_parent_where_no_chapter_changed_though_an_attempt_is_open() -> None:
    system = _system(c101=(1,), c102=(2,))
    _chapter(system, 1, "not_started")
    _chapter(system, 2, "in_progress")
    _attempt(system, 1, 1)
    _course(system, 101, "in_progress")
    _course(system, 102, "completed")
    assert reset_in_progress(system, [LEARNER], set(), {1, 2}) == {LEARNER: Counts(chapters_reset=1)}
    assert _courses(system) == {101: "in_progress", 102: "completed"}


# Idle since a date


@pytest.mark.parametrize(("last", "chosen"), [(BEFORE, True), (DAY, False), (AFTER, False), (None, False)])
def test_idle_since_takes_only_rows_known_to_be_idle_before_the_cut_off(
    last: datetime | None,
    chosen: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    system = _system(c101=(1,), c102=())
    _chapter(system, 1, "in_progress", last_activity_at=last)
    _course(system, 102, "in_progress", last_activity_at=last)
    counts = reset_in_progress(system, [LEARNER], {101, 102}, set(), idle_since=DAY)
    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=1) if chosen else Counts()}


def test_idle_since_keeps_a_whole_course_while_one_of_its_chapters_stays_in_progress() -> None:
    system = _system(c101=(1, 2), c102=(3, 4))
    _chapter(system, 1, "in_progress", last_activity_at=BEFORE)
    _chapter(system, 2, "in_progress", last_activity_at=DAY)
    _chapter(system, 3, "in_progress", last_activity_at=BEFORE)
    _chapter(system, 4, "completed", last_activity_at=AFTER)
    for course in (101, 102):
        _course(system, course, "in_progress", last_activity_at=LONG_BEFORE)
    counts = reset_in_progress(system, [LEARNER], {101, 102}, set(), idle_since=DAY)
    assert counts == {LEARNER: Counts(chapters_reset=2, courses_reset=1)}
    assert _chapters(system) == {1: "not_started", 2: "in_progress", 3: "not_started", 4: "completed"}
    assert _courses(system) == {101: "in_progress", 102: "not_started"}


def test_idle_since_holds_for_parents_too() -> None:
    system = _system(c101=(1,), c102=(1,), c103=(1,))
    _chapter(system, 1, "in_progress", last_activity_at=BEFORE)
    _course(system, 101, "in_progress", last_activity_at=BEFORE)
    _course(system, 102, "in_progress", last_activity_at=DAY)
    _course(system, 103, "in_progress")
    counts = reset_in_progress(system, [LEARNER], set(), {1}, idle_since=DAY)
    assert counts == {LEARNER: Counts(chapters_reset=1, courses_reset=1)}
    assert _courses(system) == {101: "not_started", 102: "in_progress", 103: "in_progress"}
