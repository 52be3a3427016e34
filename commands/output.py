"""How data is printed: JSON objects for programs, plain tables for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from jobs.following import JobStatus, ReportLine
from jobs.model import Rows
from jobs.records.people import Location
from jobs.submission import Preview


def print_json(value: Mapping[str, object]) -> None:
    """Print one object on one line of stdout."""
    click.echo(json_line(value))


def json_line(value: Mapping[str, object]) -> str:
    """Give an object as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table without frames on stdout, uncut where nobody's terminal limits it."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    screen = console()
    with screen.capture() as printed:  # rich itself would end the program when nobody reads any more
        screen.print(table)
    click.echo(printed.get(), nl=False)


def console() -> Console:
    """Give the terminal of stdout, or an endless line where it is none."""
    return Console(width=None if sys.stdout.isatty() else _ENDLESS, highlight=False, markup=False)


_ENDLESS = 10_000


def location_object(location: Location | None) -> dict[str, object] | None:
    """Give a location as JSON shows it; None means all of them."""
    return None if location is None else {"id": location.id, "name": location.name}


def location_name(location: Location | None) -> str:
    """Give a location as people read it."""
    return "all locations" if location is None else f"{location.name} ({location.id})"


def rows_object(rows: Rows) -> dict[str, object]:
    """Give counts of rows as JSON shows them."""
    return {
        "attempts_erased": rows.attempts_erased,
        "chapters_reset": rows.chapters_reset,
        "courses_reset": rows.courses_reset,
    }


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
    if preview.cutoff is not None:
        word = "completed before" if preview.kind.value == "training" else "idle since"
        lines.append(f"  filter    {word} {time_text(preview.cutoff)}")
    return "\n".join([*lines, *(f"  note      {note}" for note in preview.notes)])


KIND_NAMES = {"training": "[203] Reset training data", "in_progress": '[204] Reset "In Progress" data'}


def status_object(status: JobStatus) -> dict[str, object]:
    """Give a job as `job status` prints it."""
    job, totals = status.job, status.totals
    return {
        "id": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "state_reason": job.state_reason,
        "actor": job.actor_login,
        "location": location_object(status.location),
        "reason": job.reason,
        "parent": job.parent_id,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "users": {
            "total": job.users_total,
            "done": totals.done,
            "changed": totals.changed,
            "unchanged": totals.unchanged,
            "failed": totals.failed,
            "kept": 0,
        },
        "rows": rows_object(totals.rows),
        "chunks": {
            "done": totals.chunks_done,
            "in_flight": totals.chunks_in_flight,
            "retried": totals.chunks_retried,
            "size": totals.chunk_size,
        },
        "users_per_second": status.users_per_second,
        "eta_seconds": status.eta_seconds,
    }


def status_text(status: JobStatus) -> str:
    """Give a job as people read it."""
    job, totals, rows = status.job, status.totals, status.totals.rows
    why = f" ({job.state_reason})" if job.state_reason else ""
    left = "unknown" if status.eta_seconds is None else f"{status.eta_seconds} s"
    lines = [
        f"job {job.id}: {KIND_NAMES[job.kind.value]} at {location_name(status.location)}",
        f"  state     {job.state.value}{why}",
        f"  asked by  {job.actor_login}: {job.reason}",
        f"  users     {totals.done:,} of {job.users_total:,} done",
        f"  outcomes  {totals.changed:,} changed, {totals.unchanged:,} unchanged, {totals.failed:,} failed",
        f"  attempts  {rows.attempts_erased:,} erased",
        f"  chapters  {rows.chapters_reset:,} reset",
        f"  courses   {rows.courses_reset:,} reset",
        f"  chunks    {totals.chunks_done:,} done, {totals.chunks_in_flight:,} in flight",
        f"  retried   {totals.chunks_retried:,} times",
        f"  speed     {status.users_per_second:,.1f} users a second, time left {left}",
        f"  created   {time_text(job.created_at)}",
    ]
    lines += [f"  started   {time_text(job.started_at)}"] if job.started_at else []
    lines += [f"  finished  {time_text(job.finished_at)}"] if job.finished_at else []
    return "\n".join(lines)


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


def time_text(moment: datetime) -> str:
    """Give a time in UTC, ISO 8601 with `Z`."""
    return moment.isoformat().replace("+00:00", "Z")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"{type(value).__name__} does not fit into JSON")
