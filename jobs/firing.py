"""Fire schedules: each time that has come is recorded once, with the job that it made or why it made none.

Who leads calls `fire_due` in each round. Counting, which may take long, comes first and locks nothing. Then one
transaction moves the schedule to its next time by compare-and-set, freezes the job and records the run. So any
number of leaders, and whichever of them dies at any moment, leave one run for each time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from jobs.database import Database, first_line, read_now
from jobs.errors import DatabaseUnavailable, NothingMeant, TrainingResetError
from jobs.model import Job
from jobs.ownership import OwnerLost, resolve_as_owner
from jobs.schedule import CatchUp, Overlap, Run, RunOutcome, Schedule, ScheduleState, Step, due_step
from jobs.store import schedule_rows
from jobs.submission import count_by_page, record
from jobs.zones import utc_text

log = structlog.get_logger()

_ROUND_SECONDS = 1.0
_MOST_TIMES = 20_000
"""Missed times that one step accounts for: counting them takes a fraction of a second."""
_TROUBLE_OF_THE_DATABASE = (OperationalError, InterfaceError, DatabaseUnavailable)
"""What no schedule is to blame for: it is tried again in the next round."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What is to be written for a schedule in one transaction.

    Attributes:
        run: what became of a time; submitted, unless it is known to be otherwise.
        step: how the schedule moves on; None leaves it where it is.
        waited: whether the run is recorded already, as waiting.
        pauses: why the schedule may not go on.
        surprise: what failed that should not have.

    """

    run: Run | None = None
    step: Step | None = None
    waited: bool = False
    pauses: str | None = None
    surprise: Exception | None = None


def fire_due(
    database: Database, grace_seconds: float, between: Callable[[], None], seconds: float = _ROUND_SECONDS
) -> None:
    """Do what is due for every schedule, each in its turn, for about so many seconds; the next round does the rest.

    Args:
        database: where the schedules are.
        grace_seconds: how much later than its time a run is not called late.
        between: called often while something takes long.
        seconds: when to begin with no other one.

    Raises:
        DBAPIError, DatabaseUnavailable: the database is out of reach.

    """
    until, moved_on = time.monotonic() + seconds, True
    while moved_on:
        moved_on = False
        with database.read() as connection:
            due = schedule_rows.find_due(connection, read_now(connection))
        for schedule_id in due:
            moved_on |= _take_turn(database, schedule_id, timedelta(seconds=grace_seconds), between)
            if time.monotonic() >= until:
                return


def _take_turn(database: Database, schedule_id: int, grace: timedelta, between: Callable[[], None]) -> bool:
    """Do one thing that is due for a schedule, and tell whether there was one; its trouble never stops the others."""
    try:
        turn = _fire(database, schedule_id, grace, between)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        log.warning("schedule not fired now", schedule=schedule_id, error=first_line(error))
        _pass_turn(database, schedule_id)
        return False
    except DatabaseUnavailable:
        raise
    except Exception:
        log.exception("schedule cannot be fired", schedule=schedule_id)
        _pass_turn(database, schedule_id)
        return False
    if turn is not None and turn.run is not None:
        run = turn.run
        log.info(
            "schedule fired",
            schedule=schedule_id,
            time=run.fire_time.isoformat(),
            outcome=run.outcome.value,
            job=run.job_id,
            exc_info=turn.surprise,
        )
    return turn is not None


def _pass_turn(database: Database, schedule_id: int) -> None:
    """Let the others go first in the next round."""
    with database.write() as connection:
        schedule_rows.take_turn(connection, schedule_id)


def _fire(database: Database, schedule_id: int, grace: timedelta, between: Callable[[], None]) -> Turn | None:
    with database.read() as connection:
        schedule = schedule_rows.find_by_id(connection, schedule_id)
        if schedule is None or schedule.state is not ScheduleState.ACTIVE:
            return None
        waiting = schedule_rows.find_waiting(connection, schedule_id)
        unfinished = schedule_rows.find_unfinished_job(connection, schedule_id)
        step = due_step(schedule, read_now(connection), grace, _MOST_TIMES)
    if waiting is not None and unfinished is None:
        run = replace(waiting, outcome=RunOutcome.SUBMITTED, reason=str(waiting.reason).replace("waits", "waited"))
        return make_job(database, schedule, Turn(run=run, waited=True), between)
    if step is None:
        return None
    if step.time is None:
        return _write(database, schedule, Turn(step=step))
    run = Run(
        fire_time=step.time,
        last_time=step.time,
        times=1,
        outcome=RunOutcome.SUBMITTED,
        late=step.delay is not None,
        reason=None if step.delay is None else f"{timedelta(seconds=round(step.delay.total_seconds()))} late",
    )
    if unfinished is None:
        return make_job(database, schedule, Turn(run=run, step=step), between)
    stopped = _overlapping(schedule, run, unfinished, waiting)
    return None if stopped is None else _write(database, schedule, Turn(run=stopped, step=step))


def _overlapping(schedule: Schedule, run: Run, job: Job, waiting: Run | None) -> Run | None:
    """Decide what becomes of a run while the job of an earlier one has not ended; None leaves it due."""
    catches_up = run.late and schedule.policies.catch_up is CatchUp.ALL
    if waiting is None and (catches_up or schedule.policies.overlap is Overlap.QUEUE):
        return replace(run, outcome=RunOutcome.WAITING, reason=f"waits for {_said(job)}")
    if catches_up:
        return None
    why = f"{_said(job)} had not ended"
    if waiting is not None:
        why += f", and the run of {utc_text(waiting.fire_time)} waits for it already"
    return replace(run, outcome=RunOutcome.SKIPPED, reason=why)


def make_job(database: Database, schedule: Schedule, turn: Turn, between: Callable[[], None]) -> Turn | None:
    """Make the job of a run, or record why there is none; give what was written, or None if somebody else did.

    Args:
        database: where to write it.
        schedule: whose run.
        turn: the run, and how the schedule moves on.
        between: called often while users are counted.

    """
    judged = _judge(database, schedule, turn, between)
    try:
        return _write(database, schedule, judged)
    except _TROUBLE_OF_THE_DATABASE:
        raise
    except Exception as error:  # noqa: BLE001 - recorded as what became of the run
        return _write(database, schedule, _failed(turn, error))


def _judge(database: Database, schedule: Schedule, turn: Turn, between: Callable[[], None]) -> Turn:
    """Find out what becomes of a run: count who would change, as far as that is needed; write nothing."""
    try:
        with database.read() as connection:
            changed = _count(connection, schedule, turn, between)
    except _TROUBLE_OF_THE_DATABASE:
        raise
    except NothingMeant as nothing:
        return _becomes(turn, RunOutcome.NOTHING, nothing.message)
    except Exception as error:  # noqa: BLE001 - recorded as what became of the run
        return _failed(turn, error)
    if changed == 0:
        return _becomes(turn, RunOutcome.NOTHING, "no record would change")
    most = schedule.policies.max_users
    if most is None or changed <= most:
        return turn
    said = f"would change {changed:,} users, more than the {most:,} of its schedule {schedule.name}"
    return _becomes(turn, RunOutcome.HELD, f"{said}; resume it or cancel it")


def _count(connection: Connection, schedule: Schedule, turn: Turn, between: Callable[[], None]) -> int:
    """Count the users who would change; where nobody asks how many, only whether there is one."""
    resolved = resolve_as_owner(connection, schedule, _run_of(turn).fire_time)
    user_ids, changed = tuple(resolved.targets.read(connection)), 0
    for counted in count_by_page(connection, resolved, user_ids):
        between()
        changed += len(counted)
        if changed and schedule.policies.max_users is None:
            break
    return changed


def _write(database: Database, schedule: Schedule, turn: Turn) -> Turn | None:
    """Write a turn in one transaction and give it with its job; None if somebody else took it."""
    with database.write("REPEATABLE READ") as connection:
        if not schedule_rows.take_turn(connection, schedule.id):
            return None
        if turn.step is not None:
            if not schedule_rows.move_on(connection, schedule, turn.step.next):
                return None
            if turn.step.missed is not None:
                schedule_rows.insert_run(connection, schedule.id, turn.step.missed)
        if turn.run is not None:
            if turn.waited and schedule_rows.find_waiting(connection, schedule.id) is None:
                return None
            turn = replace(turn, run=_with_job(connection, schedule, turn.run))
            keep = schedule_rows.replace_waiting if turn.waited else schedule_rows.insert_run
            keep(connection, schedule.id, _run_of(turn))
        if turn.pauses is not None:
            schedule_rows.pause(connection, schedule.id, turn.pauses)
    return turn


def _with_job(connection: Connection, schedule: Schedule, run: Run) -> Run:
    """Give a run with its job, if it is to have one, with users and content frozen now."""
    if run.outcome not in (RunOutcome.SUBMITTED, RunOutcome.HELD):
        return run
    resolved = resolve_as_owner(connection, schedule, run.fire_time)
    because = run.reason if run.outcome is RunOutcome.HELD else None
    return replace(run, job_id=record(connection, resolved, schedule.options, paused_because=because).id)


def _failed(turn: Turn, error: Exception) -> Turn:
    if isinstance(error, TrainingResetError):
        failed = _becomes(turn, RunOutcome.FAILED, error.message)
        return replace(failed, pauses=error.message) if isinstance(error, OwnerLost) else failed
    if isinstance(error, DBAPIError):
        return _becomes(turn, RunOutcome.FAILED, f"{type(error).__name__}: {first_line(error)}")
    said = f"{error}".partition("\n")[0]
    return replace(_becomes(turn, RunOutcome.FAILED, f"{type(error).__name__}: {said}"), surprise=error)


def _becomes(turn: Turn, outcome: RunOutcome, reason: str) -> Turn:
    return replace(turn, run=replace(_run_of(turn), outcome=outcome, reason=reason))


def _run_of(turn: Turn) -> Run:
    if turn.run is None:
        raise AssertionError("only a turn with a run makes a job")
    return turn.run


def _said(job: Job) -> str:
    return f"job {job.id} ({job.state.value})"
