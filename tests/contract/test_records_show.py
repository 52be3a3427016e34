"""One user's records, as the sample says them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.database import Database
from jobs.errors import NotFound
from jobs.records.importer import import_records
from jobs.records.show import AttemptRecord, ChapterRecord, CourseRecord, UserRecords, show_records
from tests.contract.test_records_sample import write_sample

EIGHT = datetime(2026, 1, 5, 8, tzinfo=UTC)
NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
COMPLETED = datetime(2026, 1, 5, 9, 0, 0, 250_000, tzinfo=UTC)


def test_a_user_is_shown_with_courses_chapters_and_attempts(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "records"))
    with database.read() as connection:
        shown = show_records(connection, 5)
    first = AttemptRecord(id=3, started_at=EIGHT, finished_at=EIGHT.replace(minute=30), score=40.0, passed=False)
    second = AttemptRecord(id=7, started_at=EIGHT.replace(minute=40), finished_at=NINE, score=62.5, passed=True)
    assert shown == UserRecords(
        id=5,
        login="ada",
        name="Ada",
        location_id=1,
        access="learner",
        courses=(
            CourseRecord(
                id=1,
                name="Fire",
                status="in_progress",
                started_at=EIGHT,
                completed_at=None,
                last_activity_at=NINE,
            ),
        ),
        chapters=(
            ChapterRecord(
                id=10,
                name="Alarm",
                status="completed",
                position_seconds=90,
                started_at=EIGHT,
                completed_at=COMPLETED,
                last_activity_at=COMPLETED,
                attempts=(first, second),
            ),
        ),
    )


def test_attempts_without_progress_are_shown_at_their_chapter(database: Database, tmp_path: Path) -> None:
    attempts = "id,user_id,chapter_id,started_at,finished_at,score,passed\n4,1,11,2026-01-05T08:00:00Z,,,\n"
    import_records(database, write_sample(tmp_path / "records", attempts=attempts))
    with database.read() as connection:
        shown = show_records(connection, 1)
    assert shown.courses == ()
    assert [(c.id, c.name, c.status, c.position_seconds) for c in shown.chapters] == [(11, "Exits", None, None)]
    assert [attempt.id for attempt in shown.chapters[0].attempts] == [4]


def test_a_user_without_records_is_shown_empty(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "records"))
    with database.read() as connection:
        shown = show_records(connection, 1)
    assert (shown.login, shown.courses, shown.chapters) == ("root", (), ())


def test_an_unknown_user_is_not_found(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="there is no user 77"):
        show_records(connection, 77)
