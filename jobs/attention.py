"""How schedules stand: their next times, their last runs, and what somebody should look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from jobs.database import read_now
from jobs.model import Job, JobState
from jobs.records.people import Location, list_locations
from jobs.schedule import Run, RunOutcome, Schedule, ScheduleState
from jobs.store import job_rows, schedule_rows

TIMES_SHOWN = 5
_BAD_ENDS = (JobState.FAILED, JobState.COMPLETED_WITH_FAILURES)


@dataclass(frozen=True)
class Attention:
    """What somebody should look at.

    Attributes:
        needs_mending: whether it stays so until somebody does something.

    """

    what: str
    needs_mending: bool


@dataclass(frozen=True, kw_only=True)
class ScheduleStatus:
    """A schedule and how it stands.

    Attributes:
        times: the next times at which it runs, or would if it were active.

    """

    schedule: Schedule
    location: Location | None
    times: tuple[datetime, ...]
    last_run: Run | None
    attention: Attention | None


def statuses_of_schedules(
    connection: Connection, schedules: Sequence[Schedule], grace: timedelta
) -> list[ScheduleStatus]:
    """Give how each schedule stands.

    Args:
        connection: where to look.
        schedules: which.
        grace: how much later than its time a schedule counts as overdue.

    """
    now = read_now(connection)
    names = {location.id: location for location in list_locations(connection)}
    last_runs = schedule_rows.find_last_runs(connection, [schedule.id for schedule in schedules])
    statuses = []
    for schedule in schedules:
        run = last_runs.get(schedule.id)
        job = None if run is None or run.job_id is None else job_rows.find_job(connection, run.job_id)
        at = schedule.location_id
        statuses.append(
            ScheduleStatus(
                schedule=schedule,
                location=None if at is None else names.get(at, Location(at, "")),
                times=next_times(schedule, now),
                last_run=run,
                attention=attention_for(schedule, run, job, now - grace),
            )
        )
    return statuses


def next_times(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    """Give the next times of a schedule; for one that is paused, those that it would have."""
    if schedule.state is ScheduleState.ENDED:
        return ()
    first = () if schedule.next_fire_at is None else (schedule.next_fire_at,)
    rest = schedule.timing.after(schedule.next_fire_at or now)
    return (*first, *islice(rest, TIMES_SHOWN - len(first)))


def attention_for(schedule: Schedule, run: Run | None, job: Job | None, overdue: datetime) -> Attention | None:
    """Say what somebody should look at.

    Args:
        schedule: as it is.
        run: its last one.
        job: that run's.
        overdue: a schedule whose next time lies before this was not fired when it should have been.

    """
    if schedule.next_fire_at is not None and schedule.next_fire_at < overdue:
        return Attention("overdue: nothing fired it; is a worker running?", needs_mending=True)
    if run is None:
        return None
    trouble = _trouble(run, job)
    if trouble is not None:
        return Attention(trouble, needs_mending=True)
    if run.late or run.outcome is RunOutcome.WAITING:
        return Attention(f"{run_in_a_word(run)}: {run.reason}", needs_mending=False)
    return None


def _trouble(run: Run, job: Job | None) -> str | None:
    if run.outcome in (RunOutcome.FAILED, RunOutcome.SKIPPED):
        return f"{run.outcome.value}: {run.reason}"
    if run.outcome is RunOutcome.HELD and job is not None and job.state is JobState.PAUSED:
        return f"held: job {job.id} {run.reason}"
    if job is not None and job.state in _BAD_ENDS:
        return f"job {job.id} {job.state.value}: {job.state_reason}"
    return None


def run_in_a_word(run: Run) -> str:
    """Say what became of a run, and whether it was late."""
    return f"{run.outcome.value}, late" if run.late else run.outcome.value
