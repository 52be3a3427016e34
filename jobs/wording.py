"""How a job is told of: one JSON object for programs, a few lines for people.

The command line prints both, and whoever asked for a job's result is sent them.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from jobs.delivery import Delivery, DeliveryState
from jobs.following import JobStatus
from jobs.model import Kind, Rows
from jobs.records.people import Location
from jobs.scope import PRIORITIES
from jobs.targets import shown_target
from jobs.zones import utc_text


def json_line(value: Mapping[str, object]) -> str:
    """Give an object as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


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


def cutoff_line(kind: Kind, cutoff: datetime) -> str:
    """Give a filter as people read it."""
    words = "completed before" if kind is Kind.TRAINING else "idle since"
    return f"  filter    {words} {utc_text(cutoff)}"


PRIORITY_NAMES = {level: name for name, level in PRIORITIES.items()}
KIND_NAMES = {"training": "[203] Reset training data", "in_progress": '[204] Reset "In Progress" data'}


def status_object(status: JobStatus) -> dict[str, object]:
    """Give a job as `job status` prints it."""
    return result_object(status) | {"on_result": [_delivery_object(delivery) for delivery in status.deliveries]}


def result_object(status: JobStatus) -> dict[str, object]:
    """Give a job as it is sent to whoever asked for its result; of the sending itself it says nothing."""
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
        "windows": [str(window) for window in job.windows],
        "urgent": job.urgent,
    }


def status_text(status: JobStatus) -> str:
    """Give a job as people read it."""
    ended = status.job.state.ended
    return "\n".join([result_text(status), *(_delivery_line(delivery, ended=ended) for delivery in status.deliveries)])


def result_text(status: JobStatus) -> str:
    """Give a job as people read it who asked for its result."""
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
        f"  created   {utc_text(job.created_at)}",
    ]
    lines += [cutoff_line(job.kind, job.cutoff)] if job.cutoff else []
    lines += [f"  window    {window}" for window in job.windows]
    lines += ["  urgent    yes"] if job.urgent else []
    gentle = totals.recent_collisions and not job.state.ended and job.chunk_size is None
    how = "in small chunks" if job.urgent else "in small chunks with rests"
    lines += [f"  gently    {how}, because others write to the same records"] if gentle else []
    lines += [f"  rate      at most {job.max_rate:g} users a second"] if job.max_rate else []
    lines += [f"  started   {utc_text(job.started_at)}"] if job.started_at else []
    lines += [f"  finished  {utc_text(job.finished_at)}"] if job.finished_at else []
    return "\n".join(lines)


def _delivery_object(delivery: Delivery) -> dict[str, object]:
    return {
        "target": shown_target(delivery.target),
        "state": delivery.state.value,
        "tries": delivery.tries,
        "next_try_at": delivery.due_at,
        "delivered_at": delivery.delivered_at,
        "error": None if delivery.being_sent else delivery.error,
    }


def _delivery_line(delivery: Delivery, *, ended: bool) -> str:
    match delivery.state:
        case DeliveryState.DELIVERED if delivery.delivered_at:
            told = f"delivered {utc_text(delivery.delivered_at)}"
        case DeliveryState.GIVEN_UP:
            told = f"given up after {_tries(delivery)}: {delivery.error}; 'job resend {delivery.job_id}' tries again"
        case _ if delivery.being_sent:
            told = f"being sent, try {delivery.tries}"
        case _ if delivery.due_at:
            told = f"waiting after {_tries(delivery)}, next {utc_text(delivery.due_at)}: {delivery.error}"
        case _:
            told = "waiting for its turn" if ended else "waiting for the job's end"
    return f"  result    to {shown_target(delivery.target)}: {told}"


def _tries(delivery: Delivery) -> str:
    return "1 try" if delivery.tries == 1 else f"{delivery.tries} tries"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    raise TypeError(f"{type(value).__name__} does not fit into JSON")
