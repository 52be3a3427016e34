"""`job pause|resume|cancel|retry|set|resend`: steer jobs."""

import time

import click

from commands.context import Invocation, pass_invocation
from commands.request import confirm
from commands.waiting import after_submit, dispatch, print_status
from jobs.errors import Conflict
from jobs.model import JobState
from jobs.scope import PRIORITIES, JobOptions
from jobs.steering import Steering

_POLL_SECONDS = 0.1


@click.command("pause")
@click.argument("job", type=int)
@pass_invocation
def pause(invocation: Invocation, *, job: int) -> None:
    """Stop a job until it is resumed; returns when nothing of it can commit any more."""
    steering = _steering(invocation)
    steering.pause(job)
    _wait_until_stopped(invocation, steering, job)


@click.command("cancel")
@click.argument("job", type=int)
@pass_invocation
def cancel(invocation: Invocation, *, job: int) -> None:
    """End a job for good; what is done stays done, the rest can be retried."""
    steering = _steering(invocation)
    steering.cancel(job)
    _wait_until_stopped(invocation, steering, job)


@click.command("resume")
@click.argument("job", type=int)
@pass_invocation
def resume(invocation: Invocation, *, job: int) -> None:
    """Let a paused job go on."""
    _steering(invocation).resume(job)
    dispatch(invocation, job)
    print_status(invocation, invocation.administration.status(job))


@click.command("set")
@click.argument("job", type=int)
@click.option("--max-rate", type=float, metavar="USERS_PER_SECOND", help="At most so many users a second.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)))
@pass_invocation
def set_pace(invocation: Invocation, *, job: int, max_rate: float | None, priority: str | None) -> None:
    """Change how fast a job may go: faster at once, slower after the chunks that run."""
    if max_rate is None and priority is None:
        raise click.UsageError("nothing to set; give --max-rate or --priority")
    level = None if priority is None else PRIORITIES[priority]
    _steering(invocation).set_pace(job, max_rate=max_rate, priority=level)
    dispatch(invocation, job)
    print_status(invocation, invocation.administration.status(job))


@click.command("retry")
@click.argument("job", type=int)
@click.option("--reason", help="Why; default: that of the job, and that it is a retry.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--wait", is_flag=True, help="Return when the job has ended.")
@click.option("--watch", is_flag=True, help="Show its progress until it has ended.")
@pass_invocation
def retry(invocation: Invocation, *, job: int, reason: str | None, yes: bool, wait: bool, watch: bool) -> None:
    """Make a new job for the failed and never reached users of one that has ended; once, however often it is asked."""
    earlier = invocation.administration.status(job)
    if not yes:
        missed = earlier.job.users_total - earlier.totals.changed - earlier.totals.unchanged
        confirm(f"Reset the records of {missed:,} users whom job {job} did not?")
    options = JobOptions(reason=f"retry of job {job}: {earlier.job.reason}" if reason is None else reason)
    again, new = _steering(invocation).retry(job, options)
    earlier_retry = f"job {job} was retried before, as job {again.id}; 'job retry {again.id}' retries what that missed"
    after_submit(invocation, again, why_not_new=None if new else earlier_retry, wait=wait, watch=watch)


@click.command("resend")
@click.argument("job", type=int)
@click.option("--all", "delivered_too", is_flag=True, help="Those that were delivered, too.")
@pass_invocation
def resend(invocation: Invocation, *, job: int, delivered_too: bool) -> None:
    """Send the results of an ended job again that were not delivered, under the same ids as before."""
    number = _steering(invocation).resend(job, delivered_too=delivered_too)
    invocation.say(f"job {job}: {number} to be sent; the leading worker does so")
    print_status(invocation, invocation.administration.status(job))


def _wait_until_stopped(invocation: Invocation, steering: Steering, job: int) -> None:
    """Carry an order out, so that it takes no worker; give up when no chunk may be at work any more."""
    deadline = time.monotonic() + invocation.settings.chunk_deadline_seconds
    while (status := invocation.administration.status(job)).job.state in (JobState.PAUSING, JobState.CANCELLING):
        if time.monotonic() > deadline:
            raise Conflict(
                f"job {job} is {status.job.state.value}, but a chunk does not end; 'job status {job}' tells when it has"
            )
        time.sleep(_POLL_SECONDS)
        steering.settle(job)
    print_status(invocation, status)


def _steering(invocation: Invocation) -> Steering:
    return Steering(invocation.database, invocation.settings.actor)


STEERING = (pause, cancel, resume, set_pace, retry, resend)
"""The commands of this file; they stand in the group `job`."""
