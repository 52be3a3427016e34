"""How schedules and their runs are printed."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from jobs.attention import ScheduleStatus, run_in_a_word
from jobs.falling_due import DueLine
from jobs.model import Kind
from jobs.schedule import Run, Schedule
from jobs.scope import Cutoff, JobOptions, ResetRequest
from jobs.targets import shown_target
from jobs.timing import Cron, Every, Timing, age_text
from jobs.wording import KIND_NAMES, PRIORITY_NAMES, location_name, location_object
from jobs.zones import utc_text

_MOST_IDS_SHOWN = 20


def schedule_object(status: ScheduleStatus) -> dict[str, object]:
    """Give a schedule as JSON shows it."""
    schedule, policies = status.schedule, status.schedule.policies
    return {
        "name": schedule.name,
        "state": schedule.state.value,
        "state_reason": schedule.state_reason,
        "owner": schedule.owner_login,
        "location": location_object(status.location),
        "kind": schedule.request.kind.value,
        "timing": _timing_object(schedule.timing),
        "catch_up": policies.catch_up.value,
        "overlap": policies.overlap.value,
        "max_users": policies.max_users,
        "notice": None if policies.notice is None else age_text(policies.notice),
        "words": words_of(schedule),
        "next": list(status.times),
        "last_run": None if status.last_run is None else run_object(status.last_run),
        "attention": None if status.attention is None else status.attention.what,
    }


def run_object(run: Run) -> dict[str, object]:
    """Give a run as JSON shows it."""
    return {
        "fire_time": run.fire_time,
        "last_time": run.last_time,
        "times": run.times,
        "outcome": run.outcome.value,
        "late": run.late,
        "reason": run.reason,
        "job": run.job_id,
    }


def schedule_text(status: ScheduleStatus) -> str:
    """Give a schedule as people read it."""
    schedule, policies = status.schedule, status.schedule.policies
    why = f" ({schedule.state_reason})" if schedule.state_reason else ""
    lines = [
        f"schedule {schedule.name}: {KIND_NAMES[schedule.request.kind.value]} at {location_name(status.location)}",
        f"  state     {schedule.state.value}{why}",
        f"  acts as   {schedule.owner_login}",
        f"  runs      {timing_text(schedule.timing)}",
        f"  words     {words_of(schedule)}",
        f"  policies  catch up {policies.catch_up.value}, overlap {policies.overlap.value}",
    ]
    lines += (
        [] if policies.max_users is None else [f"  at most   {policies.max_users:,} users would change, or it is held"]
    )
    lines += [] if policies.notice is None else [f"  notice    {age_text(policies.notice)}"]
    lines += times_lines(status.times)
    lines += [f"  look at   {status.attention.what}"] if status.attention else []
    return "\n".join(lines)


def times_lines(times: Sequence[datetime]) -> list[str]:
    """Give the next times, a line each."""
    return [f"  {'next' if place == 0 else '':<8}  {utc_text(time)}" for place, time in enumerate(times)]


def schedules_table(statuses: Iterable[ScheduleStatus]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Give schedules as a table: headings and rows."""
    return (
        ("name", "state", "runs", "next", "last run", "outcome", "attention"),
        [
            (
                status.schedule.name,
                status.schedule.state.value,
                timing_text(status.schedule.timing),
                utc_text(status.times[0]) if status.times else None,
                utc_text(status.last_run.last_time) if status.last_run else None,
                run_in_a_word(status.last_run) if status.last_run else None,
                _attention(status),
            )
            for status in statuses
        ],
    )


def _attention(status: ScheduleStatus) -> str | None:
    """Say what to look at; for one that does not run, at least why."""
    return status.attention.what if status.attention else status.schedule.state_reason


def runs_table(runs: Iterable[Run]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Give runs as a table: headings and rows."""
    rows: list[tuple[object, ...]] = [(_times(run), run_in_a_word(run), run.job_id, run.reason) for run in runs]
    return ("time", "outcome", "job", "reason"), rows


def _times(run: Run) -> str:
    first = utc_text(run.fire_time)
    return first if run.times == 1 else f"{first} to {utc_text(run.last_time)} ({run.times:,} times)"


def run_text(run: Run) -> str:
    """Give a run in a line."""
    job = "" if run.job_id is None else f", job {run.job_id}"
    return f"{run_in_a_word(run)}{job}{f' ({run.reason})' if run.reason else ''}"


def due_columns(kind: Kind) -> tuple[str, ...]:
    """Give the columns of the report who falls due."""
    if kind is Kind.TRAINING:
        return ("user_id", "login", "course_id", "completed_at", "due_at")
    return ("user_id", "login", "chapter_id", "course_id", "last_activity_at", "due_at")


def due_object(line: DueLine, login: str) -> dict[str, object]:
    """Give a line of that report under the names of both kinds of columns."""
    return {
        "user_id": line.user_id,
        "login": login,
        "chapter_id": line.chapter_id,
        "course_id": line.course_id,
        "completed_at": line.since,
        "last_activity_at": line.since,
        "due_at": line.due_at,
    }


def due_cell(value: object) -> object:
    """Give a value of that report as tables and CSV show it."""
    return utc_text(value) if isinstance(value, datetime) else value


def timing_text(timing: Timing) -> str:
    """Give when a schedule runs as people read it."""
    if isinstance(timing, Cron):
        return f"{timing.expression} ({timing.timezone})"
    if isinstance(timing, Every):
        return f"every {age_text(timing.interval)}"
    return f"once, {utc_text(timing.at)}"


def _timing_object(timing: Timing) -> dict[str, object]:
    if isinstance(timing, Cron):
        return {"cron": timing.expression, "timezone": timing.timezone}
    if isinstance(timing, Every):
        return {"every": age_text(timing.interval)}
    return {"once": timing.at}


def words_of(schedule: Schedule) -> str:
    """Give what a schedule asks for in the words of `submit`; long lists of ids are cut."""
    kind = "training" if schedule.request.kind is Kind.TRAINING else "in-progress"
    return " ".join([kind, *_request_words(schedule.request), *_option_words(schedule.options)])


def _request_words(request: ResetRequest) -> Iterator[str]:
    users, content, training = request.users, request.content, request.kind is Kind.TRAINING
    yield from _ids("--user", (*users.ids, *users.logins))
    yield from _flag("--all-users", users.all_users)
    yield from _ids("--exclude-user", (*users.excluded_ids, *users.excluded_logins))
    yield from _ids("--content-role", content.content_roles)
    for one, several in (("category", content.categories), ("course", content.courses), ("chapter", content.chapters)):
        yield from _ids(f"--{one}" if training else f"--id-type {one} --id", several)
    yield from _flag("--all-content" if training else "--all", content.all_content)
    yield from _flag("--all-chapters", content.all_chapters)
    if request.cutoff is not None:
        yield f"{'--completed-before' if training else '--idle-since'} {_cutoff(request.cutoff)}"
    yield f"--location {request.location}"


def _option_words(options: JobOptions) -> Iterator[str]:
    yield f"--reason {shlex.quote(options.reason)}"
    given = {
        "--priority": None if options.priority == JobOptions.priority else PRIORITY_NAMES[options.priority],
        "--max-rate": options.max_rate,
        "--chunk-size": options.chunk_size,
    }
    yield from (f"{name} {value}" for name, value in given.items() if value is not None)
    yield from (f"--window {shlex.quote(str(window))}" for window in options.windows)
    yield from _flag("--urgent", options.urgent)
    yield from (f"--on-result {shlex.quote(shown_target(target))}" for target in options.on_result)


def _ids(option: str, ids: Sequence[object]) -> Iterator[str]:
    if ids:
        more = f"… ({len(ids):,})" if len(ids) > _MOST_IDS_SHOWN else ""
        yield f"{option} {','.join(str(one) for one in ids[:_MOST_IDS_SHOWN])}{more}"


def _flag(option: str, given: bool) -> Iterator[str]:  # noqa: FBT001 - it is what the option says
    if given:
        yield option


def _cutoff(cutoff: Cutoff) -> str:
    return age_text(cutoff) if isinstance(cutoff, timedelta) else utc_text(cutoff)
