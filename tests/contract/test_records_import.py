"""Importing records: all or nothing, into an empty database or in the place of what is there."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select, text

from jobs.database import Database
from jobs.errors import Conflict, RecordsRefused
from jobs.records import tables
from jobs.records.importer import import_records
from tests.contract.test_records_sample import SAMPLE, SAMPLE_COUNTS, count_rows, write_sample

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def add_attempt(database: Database) -> int:
    """Let the database choose the id of one more attempt."""
    with database.write() as connection:
        row = {"user_id": 5, "chapter_id": 10, "started_at": START}
        key = connection.execute(insert(tables.attempts).values(row)).inserted_primary_key
        return int(key[0])


def archive_attempt(database: Database, attempt_id: int) -> None:
    with database.write() as connection:
        twin = tables.ARCHIVE[tables.attempts]
        row = {"job_id": 1, "id": attempt_id, "user_id": 5, "chapter_id": 10, "started_at": START}
        connection.execute(insert(twin).values(row))


def test_the_values_arrive_as_written(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "records"))
    with database.read() as connection:
        users = connection.execute(select(tables.users).order_by(tables.users.c.id)).all()
        progress = connection.execute(select(tables.chapter_progress).order_by(tables.chapter_progress.c.user_id)).all()
        attempts = connection.execute(select(tables.attempts).order_by(tables.attempts.c.id)).all()
    assert users == [
        (1, "root", "Super User", 1, "super_user"),
        (5, "ada", "Ada", 1, "learner"),
        (6, "bob", 'Bob, the "builder"\nof two lines', 2, "learner"),
    ]
    completed = datetime(2026, 1, 5, 9, 0, 0, 250_000, tzinfo=UTC)
    assert progress == [
        (5, 10, "completed", 90, START, completed, completed),
        (6, 10, "not_started", 0, None, None, None),
    ]
    assert attempts == [
        (3, 5, 10, START, datetime(2026, 1, 5, 8, 30, tzinfo=UTC), 40.0, False),
        (7, 5, 10, datetime(2026, 1, 5, 8, 40, tzinfo=UTC), datetime(2026, 1, 5, 9, tzinfo=UTC), 62.5, True),
        (8, 6, 10, datetime(2026, 1, 6, 8, tzinfo=UTC), None, None, None),
    ]


def test_columns_may_stand_in_any_order_and_files_be_compressed(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records", locations="name,id\r\nNorth,1\r\nSouth,2\r\n")
    (directory / "users.csv").unlink()
    (directory / "users.csv.gz").write_bytes(gzip.compress(SAMPLE["users"].encode()))
    (directory / "README.md").write_text("Other files are left alone.")
    assert import_records(database, directory) == SAMPLE_COUNTS
    with database.read() as connection:
        rows = connection.execute(select(tables.locations).order_by(tables.locations.c.id)).all()
    assert rows == [(1, "North"), (2, "South")]


def test_a_byte_order_mark_is_no_part_of_the_header(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records", locations="\ufeff" + SAMPLE["locations"])
    assert import_records(database, directory) == SAMPLE_COUNTS


def test_a_refused_import_leaves_the_records_that_were_to_be_replaced(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "good"))
    bad = write_sample(tmp_path / "bad", attempts=SAMPLE["attempts"] + "3,5,10,2026-01-05T08:00:00Z,,,\n")
    with pytest.raises(RecordsRefused, match=r"attempts.csv:5"):
        import_records(database, bad, replace=True)
    assert count_rows(database) == SAMPLE_COUNTS


def test_a_database_that_holds_records_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    import_records(database, directory)
    with pytest.raises(Conflict, match="already holds records"):
        import_records(database, directory)
    assert count_rows(database) == SAMPLE_COUNTS


def test_of_two_imports_at_once_the_second_is_refused(database_url: str, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")

    def import_once(_number: int) -> str:
        database = Database(database_url)
        try:
            return f"{sum(import_records(database, directory).values())} rows"
        except Conflict as error:
            return error.code
        finally:
            database.close()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(import_once, range(2))) == ["22 rows", "conflict"]


def test_replacing_deletes_the_records_and_keeps_the_archive(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "old"))
    archive_attempt(database, 2)
    directory = write_sample(
        tmp_path / "new",
        locations="id,name\n1,Only\n",
        users="id,login,name,location_id,access\n5,ada,Ada,1,learner\n",
        user_content_roles="user_id,content_role_id\n",
        chapter_progress=SAMPLE["chapter_progress"].rpartition("6,10")[0],
        attempts="id,user_id,chapter_id,started_at,finished_at,score,passed\n",
    )
    rows = import_records(database, directory, replace=True)
    assert rows == count_rows(database)
    assert (rows["locations"], rows["users"], rows["chapter_progress"], rows["attempts"]) == (1, 1, 1, 0)
    with database.read() as connection:
        assert connection.execute(select(tables.ARCHIVE[tables.attempts].c.id)).scalars().all() == [2]


def test_the_next_attempt_comes_after_every_imported_one(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "records"))
    assert add_attempt(database) == 9


def test_the_next_attempt_comes_after_every_archived_one(database: Database, tmp_path: Path) -> None:
    archive_attempt(database, 500)
    import_records(database, write_sample(tmp_path / "records"))
    assert add_attempt(database) == 501


def test_the_next_attempt_id_never_goes_down(database: Database, tmp_path: Path) -> None:
    high = SAMPLE["attempts"].replace("\n8,", "\n5000,")
    import_records(database, write_sample(tmp_path / "high", attempts=high))
    import_records(database, write_sample(tmp_path / "low"), replace=True)
    assert add_attempt(database) == 5001


def test_an_import_without_attempts_leaves_the_first_id_free(database: Database, tmp_path: Path) -> None:
    header = SAMPLE["attempts"].partition("\n")[0] + "\n"
    import_records(database, write_sample(tmp_path / "records", attempts=header))
    assert add_attempt(database) == 1


def test_the_largest_attempt_id_is_taken(database: Database, tmp_path: Path) -> None:
    text_ = SAMPLE["attempts"].replace("\n8,", f"\n{2**63 - 1},")
    import_records(database, write_sample(tmp_path / "records", attempts=text_))
    with database.read() as connection:
        assert max(connection.execute(select(tables.attempts.c.id)).scalars()) == 2**63 - 1


def test_the_planner_has_statistics_after_an_import(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "records"))
    with database.read() as connection:
        if database.dialect == "sqlite":
            assert inspect(connection).has_table("sqlite_stat1")
            names = connection.execute(text("SELECT DISTINCT tbl FROM sqlite_stat1"))
        else:
            names = connection.execute(text("SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'public'"))
        assert set(SAMPLE) <= set(names.scalars())


def test_progress_is_told_for_every_table_and_batch(database: Database, tmp_path: Path) -> None:
    rows = "".join(f"{number},Place\n" for number in range(1, 15_001))
    told: list[tuple[str, int]] = []
    directory = write_sample(tmp_path / "records", locations=f"id,name\n{rows}")
    import_records(database, directory, progress=lambda table, count: told.append((table, count)))
    assert [count for table, count in told if table == "locations"][-1] == 15_000
    assert dict(told) == {**SAMPLE_COUNTS, "locations": 15_000}
