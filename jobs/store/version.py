"""Which schema a database holds, and which one this version of the program needs."""

from sqlalchemy import Connection, inspect, text

from jobs.database import Database
from jobs.errors import DatabaseUnavailable

SCHEMA_VERSION = "0007"
"""The newest migration; a test compares it with the migrations themselves."""


def schema_version(connection: Connection) -> str | None:
    """Read the version of the schema, or None where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_schema(database: Database) -> None:
    """Make sure that the database holds the schema of this version.

    Raises:
        DatabaseUnavailable: it holds none, an older or a newer one.

    """
    where = database.address
    if database.missing_file:
        raise DatabaseUnavailable(f"there is no database {where}; check the path, or run 'training-reset db upgrade'")
    with database.read() as connection:
        version = schema_version(connection)
    if version is None:
        raise DatabaseUnavailable(
            f"the database {where} holds no schema of this program; run 'training-reset db upgrade'"
        )
    if version < SCHEMA_VERSION:
        raise DatabaseUnavailable(
            f"the database {where} has schema {version} and this program needs {SCHEMA_VERSION}; "
            "run 'training-reset db upgrade'"
        )
    if version > SCHEMA_VERSION:
        raise DatabaseUnavailable(
            f"the database {where} has schema {version}, newer than {SCHEMA_VERSION} of this program; "
            "use the newer program"
        )
