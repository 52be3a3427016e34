"""`records import|export|generate|show|verify`: the training records themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from commands.context import Invocation, pass_invocation
from commands.output import may_draw, print_json, print_table
from jobs.recordkeeping import RecordKeeping
from jobs.records.show import UserRecords
from jobs.zones import utc_text


class BrokenRecords(click.ClickException):
    """The records break rules that must hold."""

    exit_code = 1


@click.group("records", short_help="The training records themselves.")
def records_group() -> None:
    """Import, export, make up, show and check training records."""


@records_group.command("import")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the records that are there.")
@pass_invocation
def import_directory(invocation: Invocation, *, directory: Path, replace: bool) -> None:
    """Import a directory of CSV files, all or nothing."""
    with _live(invocation) as show_progress:
        counts = _keeping(invocation).load(directory, replace=replace, progress=show_progress)
    _print_counts(invocation, counts)


@records_group.command("export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--gzip", "compress", is_flag=True, help="Write .csv.gz files.")
@pass_invocation
def export_directory(invocation: Invocation, *, directory: Path, compress: bool) -> None:
    """Export everything into a new or empty directory, in canonical form."""
    _print_counts(invocation, _keeping(invocation).save(directory, compress=compress))


@records_group.command("generate")
@click.option("--users", type=click.IntRange(min=1), required=True, help="How many learners.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same rows.")
@pass_invocation
def generate(invocation: Invocation, *, users: int, seed: int) -> None:
    """Fill an empty database with a made-up but lifelike learning system, and a super user root."""
    _print_counts(invocation, _keeping(invocation).generate(users=users, seed=seed))


@records_group.command("show")
@click.argument("user")
@pass_invocation
def show(invocation: Invocation, *, user: str) -> None:
    """Show one user's records; USER is an id or a login."""
    records = _keeping(invocation).show(user)
    if invocation.as_json:
        print_json(asdict(records))
    else:
        _print_records(records)


@records_group.command("verify")
@pass_invocation
def verify(invocation: Invocation) -> None:
    """Check every rule that must hold, and say what breaks it."""
    broken = 0
    for finding in _keeping(invocation).verify():
        broken += 1
        if invocation.as_json:
            print_json(asdict(finding))
        else:
            click.echo(str(finding))
    if broken:
        raise BrokenRecords(f"{broken} places break the rules of the records; correct them in the learning system")
    invocation.say("every rule holds")


@contextmanager
def _live(invocation: Invocation) -> Iterator[Callable[[str, int], None]]:
    """Show how far an import is, in one line that changes; nothing where there is no terminal."""
    if invocation.quiet or not may_draw():
        yield lambda _table, _rows: None
        return
    with Console(stderr=True).status("importing") as line:
        yield lambda table, rows: line.update(f"importing {table}: {rows:,} rows")


def _keeping(invocation: Invocation) -> RecordKeeping:
    return RecordKeeping(invocation.database, invocation.settings.actor)


def _print_counts(invocation: Invocation, counts: dict[str, int]) -> None:
    if invocation.as_json:
        print_json(counts)
    else:
        print_table(("table", "rows"), counts.items())


def _print_records(records: UserRecords) -> None:
    click.echo(f"user {records.id}  {records.login}  {records.name}  location {records.location_id}  {records.access}")
    click.echo("\ncourses")
    print_table(
        ("id", "name", "status", "started", "completed"),
        (
            (
                course.id,
                course.name,
                course.status,
                course.started_at and utc_text(course.started_at),
                course.completed_at and utc_text(course.completed_at),
            )
            for course in records.courses
        ),
    )
    click.echo("\nchapters")
    print_table(
        ("id", "name", "status", "position", "attempts", "completed"),
        (
            (
                chapter.id,
                chapter.name,
                chapter.status,
                chapter.position_seconds,
                len(chapter.attempts),
                chapter.completed_at and utc_text(chapter.completed_at),
            )
            for chapter in records.chapters
        ),
    )
