"""Databases and data directories that are missing, foreign, broken or not writable. Exit code 6, nothing written."""

import socket
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.program import UNPRIVILEGED, Program, assert_one_error
from tests.servers import create_database, drop_database

LIST = ("job", "list")
SUBMIT = ("submit", "training", "--all-content", "--all-users", "--reason", "a test", "--yes")


def test_a_database_file_that_is_absent_is_not_made_by_asking_for_it(tmp_path: Path) -> None:
    file = tmp_path / "absent.sqlite3"
    result = Program(tmp_path / "home", f"sqlite:///{file}").run(*LIST)
    assert_one_error(result, 6, (f"{file}", "db upgrade"))
    assert not file.exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear customer,\n" * 100)
    for command in (LIST, ("db", "upgrade")):
        assert_one_error(Program(tmp_path / "home", f"sqlite:///{file}").run(*command), 6, (f"{file}",))
    assert file.read_text() == "Dear customer,\n" * 100


@pytest.mark.parametrize(
    ("change", "version", "mend"),
    [
        ("UPDATE alembic_version SET version_num = '0000'", "0000", "db upgrade"),
        ("UPDATE alembic_version SET version_num = '9999'", "9999", "newer program"),
    ],
    ids=["older", "newer"],
)
def test_a_database_of_another_version_is_refused_with_both_versions(
    program: Program, change: str, version: str, mend: str
) -> None:
    program.change(change)
    program.refuses(*SUBMIT, code=6, says=(version, mend))


def test_a_postgresql_database_without_tables_is_told_to_be_upgraded(postgres_url: str, tmp_path: Path) -> None:
    name = f"empty_{uuid.uuid4().hex}"
    program = Program(tmp_path / "home", create_database(postgres_url, name))
    program.refuses(*LIST, code=6, says=(name, "db upgrade"))
    drop_database(postgres_url, name)


def test_a_postgresql_database_that_does_not_exist_is_named(on_postgres: Program, tmp_path: Path) -> None:
    url = f"{on_postgres.database_url}".replace("/bad_", "/absent_")
    assert_one_error(Program(tmp_path / "home", url).run(*LIST), 6, ("absent_", "check the URL"))


def test_a_postgresql_server_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    program = Program(tmp_path / "home", f"postgresql://ada:sesame@127.0.0.1:{port}/records")
    result = program.run(*LIST)
    assert_one_error(result, 6, (f"{port}", "out of reach"))
    assert "sesame" not in result.err


@pytest.mark.parametrize(
    "url", ["oracle://ada:sesame@host/records", "records.sqlite3", "postgresql://host:port/records"]
)
def test_a_database_url_that_means_nothing_is_refused_with_an_example(tmp_path: Path, url: str) -> None:
    result = Program(tmp_path / "home", url).run(*LIST)
    assert_one_error(result, 6, (url.replace("sesame", "***"), "postgresql://USER@HOST/NAME"))


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a directory")
    for command in (LIST, ("db", "upgrade")):
        assert_one_error(Program(home).run(*command), 6, (f"{home}", "TRAINING_RESET_HOME"))
    assert home.read_text() == "not a directory"


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    home = tmp_path / "home"
    assert_one_error(Program(home).run("db", "upgrade", before=UNPRIVILEGED), 6, (f"{home}", "TRAINING_RESET_HOME"))


def test_an_order_that_waited_in_vain_for_sqlite_s_lock_says_that_it_changed_nothing(on_sqlite: Program) -> None:
    on_sqlite.submit("training", "--all-content", "--all-users")
    with closing(on_sqlite.open_file()) as holder:
        holder.execute("BEGIN IMMEDIATE")
        result = on_sqlite.run("job", "pause", "1", database_busy_seconds="1")
    assert_one_error(result, 6, ("database is locked", "nothing was changed", "try again"))
    assert on_sqlite.read("SELECT state FROM jobs") == [("queued",)]


def test_a_data_directory_that_is_read_only_takes_no_job(on_sqlite: Program) -> None:
    contents = on_sqlite.contents()
    on_sqlite.home.chmod(0o500)
    result = on_sqlite.run(*SUBMIT, before=UNPRIVILEGED)
    on_sqlite.home.chmod(0o700)
    assert_one_error(result, 6, (f"{on_sqlite.home}", "who may write"))
    assert on_sqlite.contents() == contents
