"""Values that only one kind of database would store are found there."""

from pathlib import Path

import pytest
from sqlalchemy import text

from jobs.database import Database
from jobs.records.importer import import_records
from tests.contract.test_records_sample import write_sample
from tests.contract.test_records_verify import damage, found


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE attempts SET score = 'high' WHERE id = 3", ("attempts", "id=3", "score", "high")),
        ("UPDATE attempts SET score = 9e999 WHERE id = 3", ("attempts", "id=3", "score", "Inf")),
        ("UPDATE attempts SET passed = 2 WHERE id = 3", ("attempts", "id=3", "passed", "2")),
        ("UPDATE attempts SET passed = 'yes' WHERE id = 3", ("attempts", "id=3", "passed", "yes")),
        ("UPDATE attempts SET started_at = 17 WHERE id = 3", ("attempts", "id=3", "started_at", "17")),
        (
            "UPDATE attempts SET started_at = '2026-01-05T08:00:00Z' WHERE id = 3",
            ("attempts", "id=3", "started_at", "2026-01-05T08:00:00Z"),
        ),
        (
            "UPDATE attempts SET finished_at = '2026-02-30 00:00:00.000000' WHERE id = 3",
            ("attempts", "id=3", "finished_at", "2026-02-30 00:00:00.000000"),
        ),
        (
            "UPDATE attempts SET finished_at = '2026-02-03 25:00:00.000000' WHERE id = 3",
            ("attempts", "id=3", "finished_at", "2026-02-03 25:00:00.000000"),
        ),
        (
            "UPDATE attempts SET finished_at = '0000-02-03 05:00:00.000000' WHERE id = 3",
            ("attempts", "id=3", "finished_at", "0000-02-03 05:00:00.000000"),
        ),
        (
            "UPDATE course_chapters SET position = 2147483648 WHERE chapter_id = 10",
            ("course_chapters", "course_id=1, chapter_id=10", "position", "2147483648"),
        ),
        (
            "UPDATE course_chapters SET position = 'first' WHERE chapter_id = 10",
            ("course_chapters", "course_id=1, chapter_id=10", "position", "first"),
        ),
        ("UPDATE users SET name = x'41' WHERE id = 5", ("users", "id=5", "name", "A")),
        ("UPDATE users SET name = 'a' || char(0) WHERE id = 5", ("users", "id=5", "name", "a\0")),
    ],
)
def test_on_sqlite_a_value_of_another_type_is_found(
    sqlite_database_url: str, tmp_path: Path, statement: str, finding: tuple[str, str, str, str]
) -> None:
    database = Database(sqlite_database_url)
    import_records(database, write_sample(tmp_path / "records"))
    damage(database, statement)
    assert found(database) == [finding]
    database.close()


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("score", "NaN", "NaN"),
        ("score", "-Infinity", "-Infinity"),
        ("started_at", "infinity", "infinity"),
        ("finished_at", "-infinity", "-infinity"),
        ("finished_at", "0044-03-15 00:00:00Z BC", "0044-03-15 00:00:00+00 BC"),
        ("finished_at", "10000-01-01 00:00:00Z", "10000-01-01 00:00:00+00"),
    ],
)
def test_on_postgresql_a_value_that_no_program_can_hold_is_found(
    postgres_database_url: str, tmp_path: Path, column: str, value: str, shown: str
) -> None:
    database = Database(postgres_database_url)
    import_records(database, write_sample(tmp_path / "records"))
    with database.write() as connection:
        connection.execute(text(f"UPDATE attempts SET {column} = '{value}' WHERE id = 7"))  # noqa: S608 - of this test
    assert found(database) == [("attempts", "id=7", column, shown)]
    database.close()


def test_references_broken_under_the_replica_role_are_found(postgres_database_url: str, tmp_path: Path) -> None:
    database = Database(postgres_database_url)
    import_records(database, write_sample(tmp_path / "records"))
    with database.write() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM categories"))
    assert found(database) == [("courses", "id=1", "category_id", "1")]
    database.close()
