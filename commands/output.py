"""How data is printed: JSON objects for programs, plain tables for people."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from jobs.following import ReportLine
from jobs.submission import Preview
from jobs.wording import KIND_NAMES, cutoff_line, json_line, location_name, location_object, rows_object


def print_json(value: Mapping[str, object]) -> None:
    """Print one object on one line of stdout."""
    click.echo(json_line(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, cut: str | None = None) -> None:
    """Print a plain table on stdout.

    Args:
        columns: the headings.
        rows: the cells; None is left empty.
        cut: the column that is shortened where a terminal is too narrow; the others never are.

    """
    cells = [list(columns), *(["" if value is None else str(value) for value in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in cells) for place in range(len(columns))]
    if cut is not None and sys.stdout.isatty():
        place = columns.index(cut)
        room = Console().width - sum(widths) + widths[place] - 2 * (len(columns) - 1)
        widths[place] = max(len(cut), min(widths[place], room))
    for row in cells:
        line = (set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(line).rstrip())


def may_draw() -> bool:
    """Tell whether progress may be drawn live: at a terminal, and unless `NO_COLOR` is set."""
    return sys.stdout.isatty() and sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def preview_object(preview: Preview) -> dict[str, object]:
    """Give a preview as JSON shows it."""
    return {
        "kind": preview.kind.value,
        "location": location_object(preview.location),
        "users": {"total": preview.total, "changed": preview.changed, "unchanged": preview.unchanged},
        "rows": rows_object(preview.rows),
        "cutoff": preview.cutoff,
        "notes": list(preview.notes),
    }


def preview_text(preview: Preview) -> str:
    """Give a preview as an administrator reads it before saying yes."""
    rows = preview.rows
    lines = [
        f"{KIND_NAMES[preview.kind.value]} at {location_name(preview.location)}",
        f"  users     {preview.total:,}, of whom {preview.changed:,} would change",
        f"  attempts  {rows.attempts_erased:,} erased",
        f"  chapters  {rows.chapters_reset:,} reset",
        f"  courses   {rows.courses_reset:,} reset",
    ]
    lines += [cutoff_line(preview.kind, preview.cutoff)] if preview.cutoff else []
    return "\n".join([*lines, *(f"  note      {note}" for note in preview.notes)])


REPORT_COLUMNS = (
    "user_id",
    "login",
    "outcome",
    "attempts_erased",
    "chapters_reset",
    "courses_reset",
    "error",
)


def report_object(line: ReportLine) -> dict[str, object]:
    """Give a line of a report under the names of `REPORT_COLUMNS`; an unreached user has no outcome."""
    return {
        "user_id": line.user_id,
        "login": line.login,
        "outcome": None if line.outcome is None else line.outcome.value,
        **rows_object(line.rows),
        "error": line.error,
    }
