"""`db upgrade|check`: the schema of the database."""

import click

from commands.context import Invocation, pass_invocation
from commands.output import print_json
from jobs.store.version import SCHEMA_VERSION, require_schema


@click.group("db", short_help="The schema of the database.")
def database_group() -> None:
    """Bring the database's schema to this version, or check it."""


@database_group.command("upgrade")
@pass_invocation
def upgrade(invocation: Invocation) -> None:
    """Apply the migrations that the database lacks."""
    from jobs.store.migrate import upgrade as apply  # noqa: PLC0415 - Alembic is needed nowhere else

    _print(invocation, apply(invocation.database))


@database_group.command("check")
@pass_invocation
def check(invocation: Invocation) -> None:
    """Say whether the schema fits this version."""
    require_schema(invocation.database)
    _print(invocation, SCHEMA_VERSION)


def _print(invocation: Invocation, version: str) -> None:
    if invocation.as_json:
        print_json({"schema": version})
    else:
        click.echo(f"schema {version}, as this version needs it")
