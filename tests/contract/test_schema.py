"""The migrations and the metadata say the same, on every database."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, text

import jobs.records.tables
import jobs.store.delivery_table
import jobs.store.tables  # noqa: F401 - fills the metadata
from jobs.database import Database
from jobs.errors import DatabaseUnavailable
from jobs.schema import metadata
from jobs.store.migrate import upgrade
from jobs.store.version import SCHEMA_VERSION, require_schema


def test_migrations_make_the_schema_that_the_code_uses(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        checks = inspect(connection)
        for table in metadata.tables.values():
            named = {check["name"] for check in checks.get_check_constraints(table.name)}
            wanted = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
            assert named == wanted, table.name


def test_upgrading_twice_changes_nothing_and_reports_this_version(database: Database) -> None:
    assert upgrade(database) == SCHEMA_VERSION
    require_schema(database)


def test_a_database_without_a_schema_is_refused_with_the_mend(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/empty.sqlite3")
    with pytest.raises(DatabaseUnavailable, match="run 'training-reset db upgrade'"):
        require_schema(database)
    database.close()


@pytest.mark.parametrize(("version", "mend"), [("0000", "db upgrade"), ("9999", "use the newer program")])
def test_a_database_of_another_version_is_refused_with_the_mend(database: Database, version: str, mend: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    with pytest.raises(DatabaseUnavailable, match=mend):
        require_schema(database)


def test_the_progress_tables_keep_room_for_updates_on_postgresql(postgres_database_url: str) -> None:
    database = Database(postgres_database_url)
    with database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE 'fillfactor=50' = ANY(reloptions) ORDER BY relname"
        )
        assert rows.scalars().all() == ["chapter_progress", "course_progress"]
    database.close()
