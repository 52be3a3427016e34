"""The use cases about whole record files: who may read or replace everybody's records, and when."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from jobs import authorization
from jobs.database import Database
from jobs.errors import Conflict, NotFound
from jobs.records import tables
from jobs.records.exporter import export_records
from jobs.records.generate import generate_records
from jobs.records.importer import Progress, import_records
from jobs.records.people import find_actor, find_user
from jobs.records.show import UserRecords, show_records
from jobs.records.verify import Finding, verify_records
from jobs.store import job_rows
from jobs.store.version import require_schema


class RecordKeeping:
    """Record files of one database, on behalf of one actor.

    Nobody needs to act while there are no users.

    Args:
        database: where the records are.
        login: who acts, or None.

    Raises:
        DatabaseUnavailable: the database holds no schema of this version.

    """

    def __init__(self, database: Database, login: str | None) -> None:
        require_schema(database)
        self._database = database
        self._login = login

    def load(self, directory: Path, *, replace: bool, progress: Progress | None) -> dict[str, int]:
        """Import a directory, all or nothing; give the rows of each table.

        Raises:
            RecordsRefused: naming file, line and column of what is wrong.
            Conflict: there are records and `replace` was not given, or jobs that have not ended.

        """
        with self._database.read() as connection:
            self._require_super_user(connection)
            unfinished = job_rows.find_unfinished(connection)
        if unfinished:
            listed = ", ".join(str(job.id) for job in unfinished)
            raise Conflict(
                f"jobs {listed} have not ended and an import would pull the records from under them; wait for their end"
            )
        return import_records(self._database, directory, replace=replace, progress=progress)

    def save(self, directory: Path, *, compress: bool) -> dict[str, int]:
        """Export everything; give the rows of each table."""
        with self._database.read() as connection:
            self._require_super_user(connection)
        return export_records(self._database, directory, compress=compress)

    def generate(self, *, users: int, seed: int) -> dict[str, int]:
        """Fill an empty database with made-up records; give the rows of each table."""
        return generate_records(self._database, users=users, seed=seed)

    def verify(self) -> Iterator[Finding]:
        """Give every place where a rule that must hold is broken."""
        with self._database.read() as connection:
            self._require_super_user(connection)
        return verify_records(self._database)

    def show(self, user: str) -> UserRecords:
        """Give one user's records, by id or login.

        Raises:
            NotFound: there is no such user, or none that the actor may know of.

        """
        with self._database.read() as connection:
            actor = find_actor(connection, authorization.require_named(self._login))
            found = find_user(connection, user)
            if found is None or not authorization.may_see_user(actor, found.id, found.location_id):
                raise NotFound(f"no user is called {user!r}; 'training-reset user list' names them")
            return show_records(connection, found.id)

    def _require_super_user(self, connection: Connection) -> None:
        """Make sure that whoever handles everybody's records may; with no users there is nobody to ask."""
        if connection.execute(select(tables.users.c.id).limit(1)).first() is None:
            return
        authorization.require_super_user(find_actor(connection, authorization.require_named(self._login)))
