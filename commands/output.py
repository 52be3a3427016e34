"""How data is printed: JSON objects for programs, plain tables for people."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from jobs.following import JobStatus, ReportLine
from jobs.model import Kind, Rows
from jobs.records.people import Location
from jobs.scope import PRIORITIES
from jobs.submission import Preview


def print_json(value: Mapping[str, object]) -> None:
    """Print one object on one line of stdout."""
    click.echo(json_line(value))


def json_line(value: Mapping[str, object]) -> str:
    """Give an object as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


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
    lines += [_cutoff_line(preview.kind, preview.cutoff)] if preview.cutoff else []
    return "\n".join([*lines, *(f"  note      {note}" for note in preview.notes)])


def _cutoff_line(kind: Kind, cutoff: datetime) -> str:
    words = "completed before" if kind is Kind.TRAINING else "idle since"
    return f"  filter    {words} {time_text(cutoff)}"


PRIORITY_NAMES = {level: name for name, level in PRIORITIES.items()}
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
        "cutoff": job.cutoff,
        "priority": PRIORITY_NAMES[job.priority],
        "max_rate": job.max_rate,
        "not_before": job.not_before,
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
        f"  priority  {PRIORITY_NAMES[job.priority]}",
        f"  created   {time_text(job.created_at)}",
    ]
    lines += [_cutoff_line(job.kind, job.cutoff)] if job.cutoff else []
    lines += [f"  rate      at most {job.max_rate:g} users a second"] if job.max_rate else []
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
