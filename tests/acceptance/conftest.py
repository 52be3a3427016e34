"""The small learning system, imported once for each kind of database and copied for every test."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Program, write_records
from tests.servers import create_database, drop_database


@pytest.fixture(scope="session")
def record_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record files of the small learning system."""
    return write_records(tmp_path_factory.mktemp("small") / "records")


@pytest.fixture(scope="session")
def small_on_sqlite(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, record_files: Path) -> Path:
    """A data directory with the small learning system in SQLite."""
    home = tmp_path_factory.mktemp("small_on_sqlite")
    shutil.copy(sqlite_template, home / "training-reset.sqlite3")
    imported = Program(home).run("records", "import", f"{record_files}")
    assert imported.code == 0, imported
    return home


@pytest.fixture(scope="session")
def small_on_postgres(postgres_url: str, postgres_template: str, short_directory: Path, record_files: Path) -> str:
    """The name of a PostgreSQL database with the small learning system."""
    name = f"small_{uuid.uuid4().hex}"
    program = Program(short_directory / "unused", create_database(postgres_url, name, postgres_template))
    imported = program.run("records", "import", f"{record_files}")
    assert imported.code == 0, imported
    return name


@pytest.fixture
def on_sqlite(small_on_sqlite: Path, tmp_path: Path) -> Program:
    """The program with the small learning system in its data directory."""
    return Program(Path(shutil.copytree(small_on_sqlite, tmp_path / "home")))


@pytest.fixture
def on_postgres(postgres_url: str, small_on_postgres: str, tmp_path: Path) -> Iterator[Program]:
    """The program with the small learning system in PostgreSQL."""
    name = f"bad_{uuid.uuid4().hex}"
    yield Program(tmp_path / "home", create_database(postgres_url, name, small_on_postgres))
    drop_database(postgres_url, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def program(request: pytest.FixtureRequest) -> Program:
    """The program with the small learning system, once on each kind of database."""
    found: Program = request.getfixturevalue("on_sqlite" if request.param == "sqlite" else "on_postgres")
    return found
