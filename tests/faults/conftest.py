"""A scene on each kind of database, and the seconds that scenarios took to recover."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.database import Database
from tests.faults.broker import Broker
from tests.faults.harness import Scene
from tests.faults.records import make_records, steps_per_second
from tests.faults.settings import Recovery
from tests.servers import create_database, drop_database


@pytest.fixture(scope="session")
def sqlite_records(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A SQLite file with the suite's records, and how many steps of slowness it does in a second."""
    path = tmp_path_factory.mktemp("records") / "records.sqlite3"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    make_records(database)
    steps = steps_per_second(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK").close()
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
    database.close()
    return path, steps


@pytest.fixture(scope="session")
def postgres_records(postgres_url: str, postgres_template: str) -> str:
    """The name of a PostgreSQL database with the suite's records."""
    name = f"records_{uuid.uuid4().hex}"
    database = Database(create_database(postgres_url, name, postgres_template))
    make_records(database)
    database.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def records_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh copy of the suite's records, once of each kind."""
    if request.param == "sqlite":
        path, _ = request.getfixturevalue("sqlite_records")
        shutil.copy(path, tmp_path / "records.sqlite3")
        yield f"sqlite:///{tmp_path / 'records.sqlite3'}"
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_records")
    name = f"fault_{uuid.uuid4().hex}"
    yield create_database(server, name, template)
    drop_database(server, name)


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A running broker of the test's own."""
    directory = Path(tempfile.mkdtemp(prefix="tr-"))
    broker = Broker(directory)
    broker.start()
    yield broker
    broker.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def scene(tmp_path: Path, records_url: str, broker: Broker, sqlite_records: tuple[Path, int]) -> Iterator[Scene]:
    """Records and a broker, and no worker yet, once on each kind of database."""
    scene = Scene(tmp_path, records_url, broker, sqlite_records[1])
    with scene.gauge:
        yield scene
        scene.close()


@pytest.fixture
def recovery(request: pytest.FixtureRequest) -> Recovery:
    """Note how many seconds a scenario took to recover."""

    def note(scenario: str, seconds: float) -> None:
        request.node.user_properties.append((f"recovery {scenario}", seconds))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was noted, also by other processes."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                database = "sqlite" if "[sqlite" in report.nodeid else "postgresql"
                for name, seconds in report.user_properties:
                    if name.startswith("recovery "):
                        terminalreporter.write_line(f"{name}, {database} {seconds:.2f}")
