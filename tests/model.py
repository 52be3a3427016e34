"""The rules of a reset written out again, slowly and plainly: what the engine is measured by.

It knows the rules as the design words them, sentence by sentence. It must not know the code under test, nor a
database: standard library only.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.plainsystem import Row, System


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What somebody chose to reset, by ids; or everything; or every chapter and no course as a whole."""

    content_roles: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    courses: tuple[int, ...] = ()
    chapters: tuple[int, ...] = ()
    all_content: bool = False
    all_chapters: bool = False


def chosen_content(system: System, selection: Selection) -> tuple[set[int], set[int]]:
    """Give the courses chosen as a whole and the chapters chosen directly."""
    # > S be the courses chosen as a whole (by course id, by category, through a content role, or all content)
    courses = set(selection.courses)
    chapters = set(selection.chapters)
    for course in system.tables["courses"].values():
        if course["category_id"] in selection.categories:
            courses.add(course["id"])
    # > content role (a named set of courses and chapters, given to users)
    for link in system.tables["content_role_courses"].values():
        if link["content_role_id"] in selection.content_roles:
            courses.add(link["course_id"])
    for link in system.tables["content_role_chapters"].values():
        if link["content_role_id"] in selection.content_roles:
            chapters.add(link["chapter_id"])
    # All content: every course as a whole, and every chapter directly, also one that stands in no course.
    if selection.all_content:
        courses.update(system.ids("courses"))
        chapters.update(system.ids("chapters"))
    # > [204] over all chapters with S empty
    if selection.all_chapters:
        chapters.update(system.ids("chapters"))
    return courses, chapters


def chosen_users(
    system: System,
    *,
    location: int | None = None,
    users: Iterable[int | str] = (),
    all_users: bool = False,
    content_roles: Collection[int] = (),
    excluded: Iterable[int | str] = (),
) -> list[int]:
    """Give the target users in the order of their ids; users are named by id or login, no location is all."""
    everyone = system.tables["users"].values()
    here = {user["id"] for user in everyone if location is None or user["location_id"] == location}
    by_login = {user["login"]: user["id"] for user in everyone}
    named = {by_login[user] if isinstance(user, str) else user for user in users}
    assert named <= here, f"not at location {location}: {named - here}"
    if all_users:
        # > 'All users' means every user of the location, whatever their access.
        targets = set(here)
    elif named:
        targets = named
    else:
        # > Several content roles: the users who hold any of them
        links = system.tables["user_content_roles"].values()
        targets = {link["user_id"] for link in links if link["content_role_id"] in content_roles} & here
    left_out = {by_login[user] if isinstance(user, str) else user for user in excluded}
    return sorted(targets - left_out)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a reset did to one user."""

    attempts_erased: int = 0
    chapters_reset: int = 0
    courses_reset: int = 0

    @property
    def outcome(self) -> str:
        """Whether anything of this user's was erased or changed."""
        return "unchanged" if self == Counts() else "changed"

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            attempts_erased=self.attempts_erased + other.attempts_erased,
            chapters_reset=self.chapters_reset + other.chapters_reset,
            courses_reset=self.courses_reset + other.courses_reset,
        )


def reset_training(
    system: System,
    users: Iterable[int],
    courses: Collection[int],
    chapters_direct: Collection[int],
    completed_before: datetime | None = None,
) -> dict[int, Counts]:
    """[203] Erase the attempts of these users and make their chapters and courses incomplete."""
    chapters_of = system.chapters_of_courses()
    return {
        user: _reset_training_of(system, user, set(courses), set(chapters_direct), chapters_of, completed_before)
        for user in users
    }


def _reset_training_of(
    system: System,
    user: int,
    whole: set[int],
    direct: set[int],
    chapters_of: dict[int, set[int]],
    completed_before: datetime | None,
) -> Counts:
    chapter_rows = system.of_user("chapter_progress", user)
    course_rows = system.of_user("course_progress", user)

    if completed_before is not None:
        completed = {
            course
            for course, row in course_rows.items()
            if row["status"] == "completed"
            and row["completed_at"] is not None
            and row["completed_at"] < completed_before
        }
        # > S keeps the courses whose progress is `completed` with completed_at before D;
        whole = whole & completed
        # > C keeps the chapters of those, and the chapters chosen directly that stand in any course that this
        # > user completed before D;
        direct = {chapter for chapter in direct if any(chapter in chapters_of[course] for course in completed)}
    chapters, parents = _chapters_and_parents(whole, direct, chapters_of)

    # > attempts at chapters in C: erased, open ones too
    erased = [row for row in system.of_user("attempts", user).values() if row["chapter_id"] in chapters]
    for attempt in erased:
        system.erase_attempt(attempt)

    # > chapter progress in C: `incomplete`, position 0, started/completed cleared
    changed_chapters = {
        chapter
        for chapter, row in chapter_rows.items()
        if chapter in chapters
        and _change(row, status="incomplete", position_seconds=0, started_at=None, completed_at=None)
    }

    # > course progress in S: `incomplete`, started/completed cleared
    changed_courses = {
        course
        for course, row in course_rows.items()
        if course in whole and _change(row, status="incomplete", started_at=None, completed_at=None)
    }

    # > course progress in P, if one of this user's attempts or chapter rows in that course changed:
    touched = changed_chapters | {attempt["chapter_id"] for attempt in erased}
    for course, row in course_rows.items():
        if course not in parents or not chapters_of[course] & touched:
            continue
        if row["status"] == "completed":
            # > `completed` becomes `incomplete`, completed cleared;
            _change(row, status="incomplete", completed_at=None)
            changed_courses.add(course)
        elif row["status"] == "in_progress" and not _any_chapter(
            chapter_rows, chapters_of[course], "in_progress", "completed"
        ):
            # > `in_progress` becomes `incomplete` unless a chapter of the course is still in progress or
            # > completed;
            _change(row, status="incomplete")
            changed_courses.add(course)
        # > else untouched

    return Counts(
        attempts_erased=len(erased),
        chapters_reset=len(changed_chapters),
        courses_reset=len(changed_courses),
    )


def reset_in_progress(
    system: System,
    users: Iterable[int],
    courses: Collection[int],
    chapters_direct: Collection[int],
    idle_since: datetime | None = None,
) -> dict[int, Counts]:
    """[204] Make what these users have in progress not started; erase nothing."""
    chapters_of = system.chapters_of_courses()
    chapters, parents = _chapters_and_parents(set(courses), set(chapters_direct), chapters_of)
    return {
        user: _reset_in_progress_of(system, user, set(courses), chapters, parents, chapters_of, idle_since)
        for user in users
    }


def _reset_in_progress_of(
    system: System,
    user: int,
    whole: set[int],
    chapters: set[int],
    parents: set[int],
    chapters_of: dict[int, set[int]],
    idle_since: datetime | None,
) -> Counts:
    chapter_rows = system.of_user("chapter_progress", user)
    course_rows = system.of_user("course_progress", user)

    def may_change(row: Row) -> bool:
        # Only rows `in_progress`; "only rows whose last activity is known and before D", courses of P too.
        if row["status"] != "in_progress":
            return False
        if idle_since is None:
            return True
        return row["last_activity_at"] is not None and row["last_activity_at"] < idle_since

    # > only rows `in_progress`: `not_started`, position 0, started cleared
    changed_chapters = set()
    for chapter, row in chapter_rows.items():
        if chapter in chapters and may_change(row):
            _change(row, status="not_started", position_seconds=0, started_at=None)
            changed_chapters.add(chapter)

    changed_courses = set()
    for course, row in course_rows.items():
        if not may_change(row):
            continue
        if course in whole:
            # > a course of S moreover only if none of its chapters stays in progress for this user.
            # Without the filter none can, for all chapters of S are in C.
            changes = not _any_chapter(chapter_rows, chapters_of[course], "in_progress")
        else:
            # > course progress in P, if one of this user's attempts or chapter rows in that course changed:
            # > `in_progress` becomes `not_started`, started cleared, unless a chapter of the course is still
            # > in progress or completed; else untouched
            changes = (
                course in parents
                and bool(chapters_of[course] & changed_chapters)
                and not _any_chapter(chapter_rows, chapters_of[course], "in_progress", "completed")
            )
        if changes:
            _change(row, status="not_started", started_at=None)
            changed_courses.add(course)

    return Counts(chapters_reset=len(changed_chapters), courses_reset=len(changed_courses))


def _chapters_and_parents(
    whole: set[int], direct: set[int], chapters_of: dict[int, set[int]]
) -> tuple[set[int], set[int]]:
    # > C the chapters chosen directly plus every chapter of the courses in S,
    chapters = direct.union(*(chapters_of[course] for course in whole))
    # > and P the other courses that hold a chapter of C.
    parents = {course for course, held in chapters_of.items() if course not in whole and held & chapters}
    return chapters, parents


def _any_chapter(chapter_rows: dict[int, Row], chapters: set[int], *statuses: str) -> bool:
    return any(chapter in chapter_rows and chapter_rows[chapter]["status"] in statuses for chapter in chapters)


def _change(row: Row, **values: object) -> bool:
    # > A row already as the reset would leave it is not touched and not counted.
    if all(row[column] == value for column, value in values.items()):
        return False
    row.update(values)
    return True
