"""Move a job on by itself, as far as its chunks allow: to its end, to a stop that was asked for, out of a hold.

Called after a chunk that may make a step due, after every order and in every round of housekeeping; whoever comes
first does it. Whether a job must hold is asked by housekeeping: after every chunk it would cost each of them.
"""

from sqlalchemy import Connection

from jobs.database import read_now
from jobs.holding import Hold, Surroundings, closing_of, hold_of
from jobs.model import Job, JobState
from jobs.progress import Totals, too_many_failed
from jobs.store import blackout_rows, chunk_rows, job_rows, outcome_rows, strain_rows


def settle(connection: Connection, job: Job, around: Surroundings | None = None) -> None:
    """Take the one step that is due for this job, if any.

    A stop must have been committed before: only then can no chunk begin any more that does not see it.

    Args:
        connection: in a writing transaction.
        job: as it is now.
        around: what the system says, if it was read in this transaction.

    """
    match job.state:
        case JobState.QUEUED | JobState.RUNNING | JobState.HOLDING if _complete(connection, job):
            if job.state is not JobState.RUNNING:
                job_rows.set_state_if_allowed(connection, job.id, JobState.RUNNING, before=job.state)
            job_rows.finish_if_complete(connection, job.id)
        case JobState.QUEUED | JobState.RUNNING | JobState.HOLDING:
            _hold_or_let_go(connection, job, around or read_surroundings(connection))
            if job.state is JobState.RUNNING:
                _break_off(connection, job)
        case JobState.PAUSING:
            if chunk_rows.fence_off_idle(connection, job.id):
                job_rows.set_state_if_allowed(connection, job.id, JobState.PAUSED, reason=job.state_reason)
        case JobState.CANCELLING:
            if chunk_rows.fence_off_idle(connection, job.id):
                _end_stopped(connection, job)
        case JobState.CANCELLED | JobState.FAILED:  # a claim that committed only after the end was handed back
            chunk_rows.drop_dispatched(connection, job.id)


def may_be_due(job: Job) -> bool:
    """Tell whether the end of a chunk may have been what its job waited for: for its own end, or for a stop."""
    return job.state in (JobState.PAUSING, JobState.CANCELLING) or job.next_ordinal == job.users_total


def read_surroundings(connection: Connection) -> Surroundings:
    """Read what the system says now about jobs that want to run."""
    blackouts = blackout_rows.find_blackouts_to_come(connection)
    pace = strain_rows.read_pace(connection)
    strain = pace.sign if pace.level == 0 else None
    return Surroundings(now=read_now(connection), blackouts=blackouts, strain=strain)


def _hold_or_let_go(connection: Connection, job: Job, around: Surroundings) -> None:
    hold = hold_of(job, job.location_id, around)
    if hold is not None:
        _hold(connection, job, hold)
        return
    closes_at = closing_of(job, job.location_id, around)
    if closes_at != job.closes_at:
        job_rows.set_closing(connection, job.id, closes_at)
    if job.state is JobState.HOLDING:
        after = JobState.QUEUED if job.started_at is None else JobState.RUNNING
        job_rows.set_state_if_allowed(connection, job.id, after, before=JobState.HOLDING)


def _hold(connection: Connection, job: Job, hold: Hold) -> None:
    if job.state is not JobState.HOLDING:
        job_rows.set_state_if_allowed(connection, job.id, JobState.HOLDING, reason=hold.reason, before=job.state)
    elif job.state_reason != hold.reason:
        job_rows.explain_hold(connection, job.id, hold.reason)


def _complete(connection: Connection, job: Job) -> bool:
    may_end = job.state is not JobState.HOLDING or job.started_at is not None
    return may_end and job.next_ordinal == job.users_total and not chunk_rows.any_unfinished(connection, job.id)


def _break_off(connection: Connection, job: Job) -> None:
    totals = _totals(connection, job)
    if too_many_failed(totals):
        reason = f"{totals.failed:,} of the first {totals.done:,} users failed; it stopped to do no more harm"
        job_rows.set_state_if_allowed(connection, job.id, JobState.CANCELLING, reason=reason, before=JobState.RUNNING)


def _end_stopped(connection: Connection, job: Job) -> None:
    chunk_rows.drop_dispatched(connection, job.id)
    # Only who breaks a job off gives a reason; chunks in flight may have evened its failures out since.
    after = JobState.CANCELLED if job.state_reason is None else JobState.FAILED
    job_rows.set_state_if_allowed(connection, job.id, after, reason=job.state_reason, before=JobState.CANCELLING)


def _totals(connection: Connection, job: Job) -> Totals:
    return outcome_rows.totals_of(connection, [job.id]).get(job.id, Totals())
