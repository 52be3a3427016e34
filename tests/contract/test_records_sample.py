"""A small set of record files for the tests beside this one, and that it is right."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from jobs.database import Database
from jobs.records.importer import import_records
from jobs.records.tables import RECORD_FORMAT

SAMPLE = {
    "locations": "id,name\n1,North\n2,South\n",
    "users": (
        "id,login,name,location_id,access\n"
        "1,root,Super User,1,super_user\n"
        "5,ada,Ada,1,learner\n"
        '6,bob,"Bob, the ""builder""\nof two lines",2,learner\n'
    ),
    "content_roles": "id,name\n1,Everyone\n",
    "user_content_roles": "user_id,content_role_id\n5,1\n6,1\n",
    "categories": "id,name\n1,Safety\n",
    "courses": "id,category_id,name\n1,1,Fire\n",
    "chapters": "id,name\n10,Alarm\n11,Exits\n",
    "course_chapters": "course_id,chapter_id,position\n1,10,0\n1,11,1\n",
    "content_role_courses": "content_role_id,course_id\n1,1\n",
    "content_role_chapters": "content_role_id,chapter_id\n1,11\n",
    "chapter_progress": (
        "user_id,chapter_id,status,position_seconds,started_at,completed_at,last_activity_at\n"
        "5,10,completed,90,2026-01-05T08:00:00Z,2026-01-05T09:00:00.25Z,2026-01-05T09:00:00.25Z\n"
        "6,10,not_started,0,,,\n"
    ),
    "course_progress": (
        "user_id,course_id,status,started_at,completed_at,last_activity_at\n"
        "5,1,in_progress,2026-01-05T08:00:00Z,,2026-01-05T09:00:00Z\n"
    ),
    "attempts": (
        "id,user_id,chapter_id,started_at,finished_at,score,passed\n"
        "3,5,10,2026-01-05T08:00:00Z,2026-01-05T08:30:00Z,40,false\n"
        "7,5,10,2026-01-05T08:40:00Z,2026-01-05T09:00:00Z,62.5,true\n"
        "8,6,10,2026-01-06T08:00:00Z,,,\n"
    ),
}
"""The canonical text of each file."""

SAMPLE_COUNTS = {
    "locations": 2,
    "users": 3,
    "content_roles": 1,
    "user_content_roles": 2,
    "categories": 1,
    "courses": 1,
    "chapters": 2,
    "course_chapters": 2,
    "content_role_courses": 1,
    "content_role_chapters": 1,
    "chapter_progress": 2,
    "course_progress": 1,
    "attempts": 3,
}


def write_sample(directory: Path, **changed: str) -> Path:
    """Write the sample, some tables with another text."""
    directory.mkdir(exist_ok=True)
    for table, text in {**SAMPLE, **changed}.items():
        (directory / f"{table}.csv").write_bytes(text.encode())
    return directory


def count_rows(database: Database) -> dict[str, int]:
    """Count every record table's rows in the database."""
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in RECORD_FORMAT
        }


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "records")


def test_the_sample_is_imported_whole(database: Database, files: Path) -> None:
    assert import_records(database, files) == SAMPLE_COUNTS
    assert count_rows(database) == SAMPLE_COUNTS
