"""Broken rows are found where the database's own rules were switched off or dropped."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from jobs.database import Database
from jobs.records import tables
from jobs.records.importer import import_records
from jobs.records.verify import Finding, verify_records
from tests.contract.test_records_sample import write_sample

RECORD_TABLES = [table.name for table in tables.RECORD_FORMAT]


@pytest.fixture
def sample(database: Database, tmp_path: Path) -> Database:
    import_records(database, write_sample(tmp_path / "records"))
    return database


def damage(database: Database, *statements: str, rebuild: str | None = None) -> None:
    """Run statements that the constraints forbid; SQLite forgets keys and nulls of a rebuilt table only."""
    if database.dialect == "sqlite":
        damage_sqlite(database, statements, rebuild)
        return
    with database.write() as connection:
        drop_constraints(connection)
        for statement in statements:
            connection.execute(text(statement))


def damage_sqlite(database: Database, statements: tuple[str, ...], rebuild: str | None) -> None:
    database.close()
    connection = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    if rebuild is not None:
        connection.execute(f"CREATE TABLE rebuilt AS SELECT * FROM {rebuild}")  # noqa: S608 - a table's name
        connection.execute(f"DROP TABLE {rebuild}")
        connection.execute(f"ALTER TABLE rebuilt RENAME TO {rebuild}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def drop_constraints(connection: Connection) -> None:
    query = text(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE conrelid::regclass::text = ANY(:tables)"
        " ORDER BY array_position(ARRAY['f', 'c', 'u', 'p', 'n'], contype::text)"
    )
    for table, name in connection.execute(query, {"tables": RECORD_TABLES}).all():
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))


def found(database: Database) -> list[tuple[str, str, str, str | None]]:
    return [(f.table, f.key, f.column, f.value) for f in verify_records(database)]


def test_right_records_give_no_findings(sample: Database) -> None:
    assert found(sample) == []


def test_an_empty_database_gives_no_findings(database: Database) -> None:
    assert found(database) == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "UPDATE chapter_progress SET status = 'done' WHERE user_id = 5",
            ("chapter_progress", "user_id=5, chapter_id=10", "status", "done"),
        ),
        (
            "UPDATE course_progress SET status = ''",
            ("course_progress", "user_id=5, course_id=1", "status", ""),
        ),
        ("UPDATE users SET access = 'boss' WHERE id = 6", ("users", "id=6", "access", "boss")),
        ("UPDATE users SET name = '' WHERE id = 6", ("users", "id=6", "name", "")),
        (
            "UPDATE chapter_progress SET position_seconds = -1 WHERE user_id = 6",
            ("chapter_progress", "user_id=6, chapter_id=10", "position_seconds", "-1"),
        ),
        (
            "UPDATE course_chapters SET position = -7 WHERE chapter_id = 11",
            ("course_chapters", "course_id=1, chapter_id=11", "position", "-7"),
        ),
        ("INSERT INTO chapters (id, name) VALUES (0, 'Nought')", ("chapters", "id=0", "id", "0")),
        ("UPDATE attempts SET id = -3 WHERE id = 3", ("attempts", "id=-3", "id", "-3")),
    ],
)
def test_a_value_out_of_range_is_found(sample: Database, statement: str, finding: tuple[str, str, str, str]) -> None:
    damage(sample, statement)
    assert found(sample) == [finding]


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE users SET location_id = 99 WHERE id = 6", ("users", "id=6", "location_id", "99")),
        ("UPDATE courses SET category_id = 99", ("courses", "id=1", "category_id", "99")),
        (
            "INSERT INTO user_content_roles (user_id, content_role_id) VALUES (99, 1)",
            ("user_content_roles", "user_id=99, content_role_id=1", "user_id", "99"),
        ),
        (
            "INSERT INTO content_role_chapters (content_role_id, chapter_id) VALUES (1, 99)",
            ("content_role_chapters", "content_role_id=1, chapter_id=99", "chapter_id", "99"),
        ),
        (
            "INSERT INTO course_progress (user_id, course_id, status) VALUES (6, 99, 'completed')",
            ("course_progress", "user_id=6, course_id=99", "course_id", "99"),
        ),
        ("UPDATE attempts SET chapter_id = 99 WHERE id = 7", ("attempts", "id=7", "chapter_id", "99")),
        (
            "DELETE FROM content_roles",
            ("content_role_courses", "content_role_id=1, course_id=1", "content_role_id", "1"),
        ),
    ],
)
def test_a_reference_to_nothing_is_found(sample: Database, statement: str, finding: tuple[str, str, str, str]) -> None:
    damage(sample, statement)
    findings = list(verify_records(sample))
    assert finding in [(f.table, f.key, f.column, f.value) for f in findings]
    assert all(f.problem.startswith("refers to no row of table ") for f in findings)


@pytest.mark.parametrize(
    ("table", "statement", "finding"),
    [
        (
            "users",
            "UPDATE users SET login = 'ada' WHERE id = 6",
            ("users", "login=ada", "login", "ada"),
        ),
        (
            "categories",
            "INSERT INTO categories (id, name) VALUES (1, 'B')",
            ("categories", "id=1", "id", "1"),
        ),
        (
            "chapter_progress",
            "UPDATE chapter_progress SET user_id = 5",
            ("chapter_progress", "user_id=5, chapter_id=10", "user_id,chapter_id", "5,10"),
        ),
    ],
)
def test_a_key_in_two_rows_is_found(
    sample: Database, table: str, statement: str, finding: tuple[str, str, str, str]
) -> None:
    damage(sample, statement, rebuild=table)
    assert found(sample) == [finding]
    assert [f.problem for f in verify_records(sample)] == ["stands in 2 rows and must be unique"]


@pytest.mark.parametrize(
    ("table", "statement", "finding"),
    [
        ("users", "UPDATE users SET name = NULL WHERE id = 5", ("users", "id=5", "name", None)),
        (
            "course_progress",
            "UPDATE course_progress SET status = NULL",
            ("course_progress", "user_id=5, course_id=1", "status", None),
        ),
        (
            "user_content_roles",
            "UPDATE user_content_roles SET user_id = NULL WHERE user_id = 5",
            ("user_content_roles", "user_id=null, content_role_id=1", "user_id", None),
        ),
    ],
)
def test_a_null_where_none_may_be_is_found(
    sample: Database, table: str, statement: str, finding: tuple[str, str, str, str | None]
) -> None:
    damage(sample, statement, rebuild=table)
    assert found(sample) == [finding]


def lower_next_attempt_id(database: Database) -> None:
    statement = (
        "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'attempts'"
        if database.dialect == "sqlite"
        else "SELECT setval(pg_get_serial_sequence('attempts', 'id'), 2)"
    )
    with database.write() as connection:
        connection.execute(text(statement))


def test_a_next_attempt_id_that_is_taken_is_found(sample: Database) -> None:
    lower_next_attempt_id(sample)
    assert list(verify_records(sample)) == [
        Finding(
            table="attempts",
            key="",
            column="id",
            value="3",
            problem="is the next id to be given and must be above 8 of table attempts",
        )
    ]


def test_a_next_attempt_id_that_is_archived_is_found(sample: Database) -> None:
    with sample.write() as connection:
        connection.execute(
            text(
                "INSERT INTO archive_attempts (job_id, id, user_id, chapter_id, started_at)"
                " VALUES (1, 9, 5, 10, '2026-01-05 08:00:00.000000')"
            )
        )
    assert [(f.value, f.problem) for f in verify_records(sample)] == [
        ("9", "is the next id to be given and must be above 9 of table archive_attempts")
    ]


def test_a_course_is_never_compared_with_its_chapters(sample: Database) -> None:
    with sample.write() as connection:
        connection.execute(text("UPDATE course_progress SET status = 'completed', completed_at = NULL"))
        connection.execute(text("UPDATE chapter_progress SET status = 'in_progress'"))
    assert found(sample) == []


def test_several_findings_come_in_order_of_tables_and_keys(sample: Database) -> None:
    damage(
        sample,
        "UPDATE attempts SET user_id = 99 WHERE id IN (8, 3)",
        "UPDATE chapter_progress SET status = 'x', position_seconds = -1 WHERE user_id = 5",
    )
    assert found(sample) == [
        ("chapter_progress", "user_id=5, chapter_id=10", "status", "x"),
        ("chapter_progress", "user_id=5, chapter_id=10", "position_seconds", "-1"),
        ("attempts", "id=3", "user_id", "99"),
        ("attempts", "id=8", "user_id", "99"),
    ]


def test_a_finding_says_its_place_and_value_in_one_line() -> None:
    finding = Finding(table="users", key="id=5", column="access", value="boss", problem="is none of a, b")
    assert str(finding) == "users id=5: column 'access': value 'boss' is none of a, b"
    whole = Finding(table="attempts", key="", column="id", value=None, problem="is null and must not be")
    assert str(whole) == "attempts: column 'id': value null is null and must not be"
