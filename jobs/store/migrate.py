"""Bring a database's schema to this version, and check that it is there.

A PostgreSQL database is locked while it is upgraded, so that several containers may start at once.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from jobs.database import Database
from jobs.store.version import schema_version

_UPGRADE_LOCK = 0x7472_6169_6E69_6E67  # any number, as long as every version of this program takes the same


def upgrade(database: Database) -> str:
    """Apply every migration that the database lacks, in one transaction; give its schema version."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        command.upgrade(_config(connection), "head")
        version = schema_version(connection)
    if version is None:
        raise AssertionError("the migrations left no version behind")
    return version


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
