"""A made-up learning system but for its learners: locations, administrators, content and roles.

It is the same for every seed. Some chapters stand in two courses, some in none, and roles overlap.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.records.fileformat import Row

_LOCATIONS = ("Headquarters", "North", "South", "East", "West", "Harbour", "Airport", "Old Town")
_SUBJECTS = {
    "Safety": ("Fire Safety", "First Aid", "Working at Heights", "Hazardous Goods"),
    "Compliance": ("Data Protection", "Code of Conduct", "Anti-Bribery"),
    "Service": ("Meeting Customers", "Handling Complaints", "Languages"),
    "Technology": ("Password Hygiene", "Spreadsheets", "Till Systems", "Stock Scanners"),
    "Leadership": ("First Line Management", "Giving Feedback"),
}
_UNITS = ("Introduction", "Rules", "Practice", "Case Study", "Assessment")
_ROLES = ("Everyone", "New Starters", "Shop Floor", "Warehouse", "Office", "Managers", "Fire Wardens")
_SHARED = {2: 1, 6: 5, 11: 5}
"""Courses that begin with the first chapter of another one."""

_MANY = 100


@dataclass(frozen=True)
class Catalogue:
    """What there is to learn: the ids, with how they hang together."""

    chapters_of: dict[int, list[int]]
    loose_chapters: list[int]
    courses_of_role: dict[int, list[int]]
    chapters_of_role: dict[int, list[int]]


def count_locations(users: int) -> int:
    """Give how many locations this many learners are spread over."""
    return 3 if users < _MANY else len(_LOCATIONS)


def catalogue() -> Catalogue:
    """Give the content: a chapter's id is its course's with one more digit."""
    courses = range(1, 1 + sum(map(len, _SUBJECTS.values())))
    chapters_of = {course: [course * 10 + unit for unit in range(3 + course % 3)] for course in courses}
    own = dict(chapters_of)
    for course, elsewhere in _SHARED.items():
        chapters_of[course] = [own[elsewhere][0], *own[course]]
    return Catalogue(
        chapters_of=chapters_of,
        loose_chapters=[901, 902],
        courses_of_role={1: [1, 5, 6], 2: [2, 3, 9], 3: [8, 9, 13], 4: [3, 4, 14], 5: [11, 12], 6: [15, 16]},
        chapters_of_role={2: [901], 6: [own[10][-1], 902], 7: [own[1][-1], 901]},
    )


def system_rows(*, users: int) -> dict[str, list[Row]]:
    """Give all rows but those of learners, by table name."""
    known = catalogue()
    locations = count_locations(users)
    titles = [title for titles in _SUBJECTS.values() for title in titles]
    subjects = [number for number, titles in enumerate(_SUBJECTS.values(), 1) for _ in titles]
    people: list[Row] = [(1, "root", "Super User", 1, "super_user")]
    people += [
        (1 + location, f"admin.{location}", f"Administrator, {_LOCATIONS[location - 1]}", location, "admin")
        for location in range(1, locations + 1)
    ]
    return {
        "locations": [(number, _LOCATIONS[number - 1]) for number in range(1, locations + 1)],
        "users": people,
        "content_roles": [(number, name) for number, name in enumerate(_ROLES, 1)],
        "categories": [(number, name) for number, name in enumerate(_SUBJECTS, 1)],
        "courses": [(course, subjects[course - 1], titles[course - 1]) for course in known.chapters_of],
        "chapters": _chapter_rows(known, titles),
        "course_chapters": [
            (course, chapter, position)
            for course, chapters in known.chapters_of.items()
            for position, chapter in enumerate(chapters)
        ],
        "content_role_courses": _pairs(known.courses_of_role),
        "content_role_chapters": _pairs(known.chapters_of_role),
    }


def _pairs(held: dict[int, list[int]]) -> list[Row]:
    return [(holder, content) for holder, contents in held.items() for content in contents]


def _chapter_rows(known: Catalogue, titles: Iterable[str]) -> list[Row]:
    rows: dict[int, str] = {}
    for title, (course, chapters) in zip(titles, known.chapters_of.items(), strict=True):
        own = [chapter for chapter in chapters if chapter // 10 == course]
        rows.update({chapter: f"{title}: {_UNITS[chapter % 10]}" for chapter in own})
    rows.update({chapter: f"Extra {chapter}" for chapter in known.loose_chapters})
    return sorted(rows.items())
