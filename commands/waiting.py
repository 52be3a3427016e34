"""After a submit: send the work on its way, and wait for its end or show its progress."""

import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from commands.context import Invocation
from commands.output import may_draw, print_json
from jobs.dispatch import PublishFailed
from jobs.errors import Conflict, TrainingResetError
from jobs.following import JobStatus
from jobs.model import Job, JobState
from jobs.wording import status_object, status_text

_POLL_SECONDS = 0.2
_LEAST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 1.0
_HINT_AFTER_SECONDS = 3.0
_STANDING_STILL = (JobState.AWAITING_APPROVAL, JobState.PAUSED)


class JobEndedBadly(click.ClickException):
    """The job that was waited for ended with failures, failed or was cancelled."""

    exit_code = 7


def after_submit(invocation: Invocation, job: Job, *, why_not_new: str | None, wait: bool, watch: bool) -> None:
    """Dispatch a new job, or say why it is none; follow it if asked to, and print its status."""
    if why_not_new is None:
        dispatch(invocation, job.id)
    else:
        invocation.say(why_not_new)
    if wait or watch:
        follow(invocation, job.id, draw=watch)
    else:
        print_status(invocation, invocation.administration.status(job.id))


def follow(invocation: Invocation, job_id: int, *, draw: bool) -> None:
    """Wait until a job has ended and print its status.

    Raises:
        Conflict: it stands still until somebody does something.
        JobEndedBadly: it ended with failures, failed or was cancelled.

    """
    try:
        status = _watch(invocation, job_id) if draw else _wait(invocation, job_id)
    except KeyboardInterrupt:
        invocation.say(f"job {job_id} goes on; 'training-reset job watch {job_id}' follows it again")
        raise
    print_status(invocation, status)
    if status.job.state in _STANDING_STILL:
        why = status.job.state_reason or "until somebody decides"
        raise Conflict(f"job {job_id} is {status.job.state.value} ({why}); it was not waited for any longer")
    if status.job.state is not JobState.SUCCEEDED:
        raise JobEndedBadly(
            f"job {job_id} ended as {status.job.state.value}; 'training-reset job report {job_id}' names every user"
        )


def print_status(invocation: Invocation, status: JobStatus) -> None:
    """Print a job's status on stdout."""
    if invocation.as_json:
        print_json(status_object(status))
    else:
        click.echo(status_text(status))


def dispatch(invocation: Invocation, job_id: int) -> None:
    """Send a job's next chunks on their way at once, or warn that they must wait for the broker."""
    from worker.client import dispatch_now  # noqa: PLC0415 - Celery takes half a second to import

    try:
        dispatch_now(invocation.database, invocation.settings)
    except (PublishFailed, TrainingResetError) as error:
        reason = str(error).partition("\n")[0]
        invocation.warn(
            f"job {job_id} is recorded, but the broker is out of reach ({reason}); it runs when the broker is back"
        )


def _settled(status: JobStatus) -> bool:
    return status.job.state.ended or status.job.state in _STANDING_STILL


def _wait(invocation: Invocation, job_id: int) -> JobStatus:
    began, hinted, told = time.monotonic(), False, None
    while not _settled(status := invocation.administration.status(job_id)):
        told = _tell_hold(status, told, invocation.say)
        if not hinted and time.monotonic() - began > _HINT_AFTER_SECONDS:
            hinted = True
            _hint(invocation)
        # A tenth of the time waited so far: nobody draws anything here, and looking costs the database a little.
        time.sleep(min(max(_LEAST_PAUSE_SECONDS, (time.monotonic() - began) / 10), _LONGEST_PAUSE_SECONDS))
    return status


def _tell_hold(status: JobStatus, told: str | None, tell: Callable[[str], None]) -> str | None:
    """Say why a job waits by itself, once for each reason; give what was told."""
    why = status.job.state_reason if status.job.state is JobState.HOLDING else None
    if why is not None and why != told:
        tell(f"job {status.job.id} is holding: {why}")
    return why


def _hint(invocation: Invocation) -> None:
    """Say so if nothing can happen."""
    if not invocation.administration.workers_alive():
        invocation.say("no worker is running; start one with 'training-reset up'")


def _watch(invocation: Invocation, job_id: int) -> JobStatus:
    """Draw a bar at a terminal; elsewhere print a line whenever the job moved on."""
    if invocation.quiet or not may_draw():
        return _watch_by_lines(invocation, job_id)
    columns = (
        TextColumn("job {task.fields[job]} {task.fields[state]}"),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} users, {task.fields[speed]:,.0f}/s"),
        TimeElapsedColumn(),
    )
    status, told = invocation.administration.status(job_id), None
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=status.job.users_total, job=job_id, **_shown(status))
        while not _settled(status):
            time.sleep(_POLL_SECONDS)
            status = invocation.administration.status(job_id)
            told = _tell_hold(status, told, progress.console.print)
            progress.update(bar, completed=status.totals.done, **_shown(status))
        progress.update(bar, completed=status.totals.done)
    return status


def _shown(status: JobStatus) -> dict[str, Any]:
    return {"state": status.job.state.value, "speed": status.users_per_second}


def _watch_by_lines(invocation: Invocation, job_id: int) -> JobStatus:
    shown = told = None
    while True:
        status = invocation.administration.status(job_id)
        told = _tell_hold(status, told, invocation.say)
        now = (status.job.state, status.totals.done)
        if now != shown:
            shown = now
            invocation.say(
                f"job {job_id} {status.job.state.value}: {status.totals.done:,} of {status.job.users_total:,} users, "
                f"{status.users_per_second:,.0f} a second"
            )
        if _settled(status):
            return status
        time.sleep(_POLL_SECONDS)
