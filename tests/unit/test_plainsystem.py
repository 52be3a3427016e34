"""The plain system against examples worked by hand: its files, and what is chosen from it."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.model import Selection, chosen_content, chosen_users
from tests.plainsystem import FORMAT, System

# What is chosen


def _catalogue() -> System:
    system = System()
    for place in (1, 2):
        system.add("locations", id=place, name="Place")
    for user in (11, 12):
        system.add("users", id=user, login=f"u{user}", name="N", location_id=1, access="learner")
    system.add("categories", id=5, name="Safety")
    for chapter in (1, 2, 3):
        system.add("chapters", id=chapter, name="Chapter")
    for course, held in ((101, (1, 2)), (102, (2, 3))):
        system.add("courses", id=course, category_id=5, name="Course")
        for position, chapter in enumerate(held):
            system.add("course_chapters", course_id=course, chapter_id=chapter, position=position)
    system.add("users", id=20, login="boss", name="N", location_id=2, access="admin")
    system.add("categories", id=6, name="Other")
    system.add("courses", id=103, category_id=6, name="Empty")
    system.add("chapters", id=9, name="Alone")
    for role in (7, 8):
        system.add("content_roles", id=role, name="Role")
    system.add("content_role_courses", content_role_id=7, course_id=102)
    system.add("content_role_chapters", content_role_id=7, chapter_id=1)
    system.add("content_role_chapters", content_role_id=8, chapter_id=9)
    for user, role in ((11, 7), (11, 8), (12, 8), (20, 7)):
        system.add("user_content_roles", user_id=user, content_role_id=role)
    return system


@pytest.mark.parametrize(
    ("selection", "courses", "chapters"),
    [
        ({"courses": (101,), "chapters": (3,)}, {101}, {3}),
        ({"categories": (5,)}, {101, 102}, set()),
        ({"categories": (5, 6)}, {101, 102, 103}, set()),
        ({"content_roles": (7,)}, {102}, {1}),
        ({"content_roles": (7, 8), "courses": (103,)}, {102, 103}, {1, 9}),
        ({"all_content": True}, {101, 102, 103}, {1, 2, 3, 9}),
        ({"all_chapters": True}, set(), {1, 2, 3, 9}),
    ],
)
def test_content_is_chosen_by_id_category_role_or_wholly(
    selection: dict[str, Any], courses: set[int], chapters: set[int]
) -> None:
    assert chosen_content(_catalogue(), Selection(**selection)) == (courses, chapters)


@pytest.mark.parametrize(
    ("options", "users"),
    [
        ({"users": (12, "u11")}, [11, 12]),
        ({"all_users": True}, [11, 12, 20]),
        ({"all_users": True, "location": 2}, [20]),
        ({"all_users": True, "location": 1, "excluded": ("u11",)}, [12]),
        ({"content_roles": (7,)}, [11, 20]),
        ({"content_roles": (7,), "location": 1}, [11]),
        ({"content_roles": (7, 8), "location": 1, "excluded": (12,)}, [11]),
        ({"content_roles": (7,), "users": (12,)}, [12]),
    ],
)
def test_users_are_chosen_by_name_place_or_role_less_the_excluded(options: dict[str, Any], users: list[int]) -> None:
    assert chosen_users(_catalogue(), **options) == users


# The record format


def test_a_system_is_written_canonically_and_read_back(tmp_path: Path) -> None:
    system = System()
    system.add("locations", id=2, name='Bath, "Spa"')
    system.add("locations", id=1, name="Århus")
    system.add("users", id=1, login="root", name="N", location_id=1, access="super_user")
    system.add("chapters", id=4, name="C")
    day = datetime(2024, 3, 1, tzinfo=UTC)
    started = datetime(2024, 3, 1, 9, 0, 0, 120000, tzinfo=UTC)
    system.add("attempts", id=10, user_id=1, chapter_id=4, started_at=started, score=60.0, passed=True)
    system.add("attempts", id=9, user_id=1, chapter_id=4, started_at=day, finished_at=day, passed=False)
    assert system.text("locations") == 'id,name\n1,Århus\n2,"Bath, ""Spa"""\n'
    assert system.text("attempts") == (
        "id,user_id,chapter_id,started_at,finished_at,score,passed\n"
        "9,1,4,2024-03-01T00:00:00Z,2024-03-01T00:00:00Z,,false\n"
        "10,1,4,2024-03-01T09:00:00.120000Z,,60,true\n"
    )
    assert system.text("courses") == "id,category_id,name\n"

    system.save(tmp_path)
    (tmp_path / "users.csv.gz").write_bytes(gzip.compress((tmp_path / "users.csv").read_bytes()))
    (tmp_path / "users.csv").unlink()
    read = System.load(tmp_path)
    assert all(read.rows(table) == system.rows(table) for table in FORMAT)
    assert read.of_user("attempts", 1)[10]["score"] == 60.0
