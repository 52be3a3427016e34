"""The made-up learning system: repeatable, whole, and as varied as real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from jobs.database import Database
from jobs.errors import Conflict, InputRefused
from jobs.records.exporter import export_records
from jobs.records.generate import generate_records
from jobs.records.verify import verify_records
from tests.contract.test_records_sample import count_rows

ROOT = Path(__file__).parents[2]

GENERATE_AND_EXPORT = """
import sys
from pathlib import Path
from jobs.database import Database
from jobs.records.exporter import export_records
from jobs.records.generate import generate_records
database = Database(sys.argv[1])
generate_records(database, users=120, seed=5)
export_records(database, Path(sys.argv[2]))
"""


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def ask(database: Database, question: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(question)).scalar_one())


def test_the_same_seed_gives_the_same_rows_on_every_database_and_in_every_process(
    sqlite_database_url: str, postgres_database_url: str, tmp_path: Path
) -> None:
    database = Database(postgres_database_url)
    generate_records(database, users=120, seed=5)
    export_records(database, tmp_path / "here")
    database.close()
    subprocess.run(
        [sys.executable, "-c", GENERATE_AND_EXPORT, sqlite_database_url, str(tmp_path / "there")],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"},
    )
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_another_seed_gives_other_rows(sqlite_database_url: str, postgres_database_url: str, tmp_path: Path) -> None:
    for url, seed in ((sqlite_database_url, 1), (postgres_database_url, 2)):
        database = Database(url)
        generate_records(database, users=50, seed=seed)
        export_records(database, tmp_path / str(seed))
        database.close()
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert one["chapters.csv"] == two["chapters.csv"]
    assert one["attempts.csv"] != two["attempts.csv"]


def test_it_gives_the_counts_of_what_it_made(database: Database) -> None:
    counts = generate_records(database, users=1234)
    assert counts == count_rows(database)
    assert ask(database, "SELECT count(*) FROM users WHERE access = 'learner'") == 1234
    assert 8 <= counts["chapter_progress"] / 1234 <= 13
    assert 8 <= counts["attempts"] / 1234 <= 14


def test_what_it_made_breaks_no_rule(database: Database) -> None:
    generate_records(database, users=200)
    assert list(verify_records(database)) == []


def test_every_location_has_one_administrator_and_root_is_the_super_user(database: Database) -> None:
    counts = generate_records(database, users=200)
    assert ask(database, "SELECT count(*) FROM users WHERE access = 'admin'") == counts["locations"]
    assert ask(database, "SELECT count(DISTINCT location_id) FROM users WHERE access = 'admin'") == counts["locations"]
    assert ask(database, "SELECT count(*) FROM users WHERE access = 'super_user' AND login = 'root'") == 1


@pytest.mark.parametrize(
    "question",
    [
        "SELECT count(*) FROM chapter_progress WHERE status = 'not_started'",
        "SELECT count(*) FROM chapter_progress WHERE status = 'in_progress'",
        "SELECT count(*) FROM chapter_progress WHERE status = 'incomplete'",
        "SELECT count(*) FROM chapter_progress WHERE status = 'completed'",
        "SELECT count(*) FROM course_progress WHERE status = 'not_started'",
        "SELECT count(*) FROM course_progress WHERE status = 'in_progress'",
        "SELECT count(*) FROM course_progress WHERE status = 'incomplete'",
        "SELECT count(*) FROM course_progress WHERE status = 'completed'",
        "SELECT count(*) FROM (SELECT 1 FROM course_chapters GROUP BY chapter_id HAVING count(*) > 1) AS s",
        "SELECT count(*) FROM chapters WHERE id NOT IN (SELECT chapter_id FROM course_chapters)",
        "SELECT count(*) FROM content_role_courses",
        "SELECT count(*) FROM content_role_chapters",
        "SELECT count(*) FROM (SELECT 1 FROM user_content_roles GROUP BY user_id HAVING count(*) > 1) AS s",
        "SELECT count(*) FROM attempts WHERE finished_at IS NULL",
        "SELECT count(*) FROM attempts WHERE finished_at IS NOT NULL AND score IS NULL",
        (
            "SELECT count(*) FROM attempts AS bad JOIN attempts AS good ON good.user_id = bad.user_id"
            " AND good.chapter_id = bad.chapter_id AND good.id > bad.id WHERE NOT bad.passed AND good.passed"
        ),
        "SELECT count(*) FROM chapter_progress WHERE status = 'not_started' AND started_at IS NOT NULL",
        "SELECT count(*) FROM chapter_progress WHERE status = 'in_progress' AND last_activity_at IS NULL",
        (
            "SELECT count(*) FROM attempts WHERE NOT EXISTS (SELECT 1 FROM chapter_progress AS p"
            " WHERE p.user_id = attempts.user_id AND p.chapter_id = attempts.chapter_id)"
        ),
        (
            "SELECT count(*) FROM course_progress AS c JOIN course_chapters USING (course_id)"
            " JOIN chapter_progress AS p ON p.user_id = c.user_id"
            " AND p.chapter_id = course_chapters.chapter_id"
            " WHERE c.status = 'completed' AND p.status = 'in_progress'"
        ),
    ],
)
def test_it_holds_every_kind_of_row(generated: Database, question: str) -> None:
    assert ask(generated, question) > 0


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Database:
    path = tmp_path_factory.mktemp("generated") / "records.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    generate_records(database, users=300)
    database.close()
    return database


def test_locations_are_of_uneven_size(generated: Database) -> None:
    largest = ask(generated, "SELECT max(n) FROM (SELECT count(*) AS n FROM users GROUP BY location_id)")
    smallest = ask(generated, "SELECT min(n) FROM (SELECT count(*) AS n FROM users GROUP BY location_id)")
    assert largest > 3 * smallest


def test_one_learner_is_enough(database: Database) -> None:
    assert generate_records(database, users=1)["users"] == 1 + 1 + 3


def test_a_database_that_holds_records_is_refused(database: Database) -> None:
    generate_records(database, users=3)
    before = count_rows(database)
    with pytest.raises(Conflict, match="already holds records"):
        generate_records(database, users=3)
    assert count_rows(database) == before


def test_no_learners_are_refused(database: Database) -> None:
    with pytest.raises(InputRefused, match="0 learners"):
        generate_records(database, users=0)


def test_new_attempts_come_after_the_generated_ones(database: Database) -> None:
    counts = generate_records(database, users=20)
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO attempts (user_id, chapter_id, started_at) VALUES (1001, 10, '2026-01-01 00:00:00.000000')"
            )
        )
    assert ask(database, "SELECT max(id) FROM attempts") == counts["attempts"] + 1
