"""Every statement about schedules and their runs.

What a schedule asks for is kept as JSON of the values themselves, so that every word that a submit takes can be kept.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.engine import Row

from jobs.database import database_now
from jobs.model import Job
from jobs.schedule import CatchUp, Overlap, Plan, Policies, Run, RunOutcome, Schedule, ScheduleState
from jobs.scope import JobOptions, ResetRequest
from jobs.store import job_rows
from jobs.store.schedule_tables import schedule_runs, schedules
from jobs.store.tables import jobs
from jobs.timing import Timing


def insert_schedule(
    connection: Connection, plan: Plan, *, owner_id: int, owner_login: str, next_fire_at: datetime | None
) -> int:
    """Record an active schedule; give its id."""
    now = database_now(connection.dialect.name)
    values = plan_values(plan) | owner_values(owner_id, owner_login) | {"name": plan.name}
    times = {"state": ScheduleState.ACTIVE.value, "next_fire_at": next_fire_at, "created_at": now, "stepped_at": now}
    statement = insert(schedules).values(values | times).returning(schedules.c.id)
    schedule_id: int = connection.execute(statement).scalar_one()
    return schedule_id


def plan_values(plan: Plan) -> dict[str, object]:
    """Give the columns of what a schedule asks for, when, and of its policies."""
    location, policies = plan.request.location, plan.policies
    return {
        "location_id": location if isinstance(location, int) else None,
        "timing": _as_json(Timing, plan.timing),
        "request": _as_json(ResetRequest, plan.request),
        "options": _as_json(JobOptions, plan.options),
        "catch_up": policies.catch_up.value,
        "overlap": policies.overlap.value,
        "max_users": policies.max_users,
        "notice_seconds": None if policies.notice is None else policies.notice.total_seconds(),
    }


def owner_values(owner_id: int, owner_login: str) -> dict[str, object]:
    """Give the columns of whoever a schedule acts as."""
    return {"owner_id": owner_id, "owner_login": owner_login}


def change(connection: Connection, schedule_id: int, **values: object) -> None:
    """Change columns of a schedule."""
    connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(values))


def remove(connection: Connection, schedule_id: int) -> None:
    """Forget a schedule and its runs; its jobs stay."""
    connection.execute(delete(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id))
    connection.execute(delete(schedules).where(schedules.c.id == schedule_id))


def find_by_name(connection: Connection, name: str) -> Schedule | None:
    """Read a schedule."""
    row = connection.execute(select(schedules).where(schedules.c.name == name)).one_or_none()
    return None if row is None else _schedule(row)


def find_by_id(connection: Connection, schedule_id: int) -> Schedule | None:
    """Read a schedule."""
    row = connection.execute(select(schedules).where(schedules.c.id == schedule_id)).one_or_none()
    return None if row is None else _schedule(row)


def find_all(connection: Connection, *, location_id: int | None = None) -> list[Schedule]:
    """Read the schedules of a location (None: all), in the order of their names."""
    query = select(schedules).order_by(schedules.c.name)
    if location_id is not None:
        query = query.where(schedules.c.location_id == location_id)
    return [_schedule(row) for row in connection.execute(query)]


def find_due(connection: Connection, now: datetime) -> list[int]:
    """Give the schedules whose time has come or that have a run waiting; whoever waited longest for its turn first."""
    waits = exists().where(schedule_runs.c.schedule_id == schedules.c.id, _WAITING)
    due = and_(schedules.c.state == ScheduleState.ACTIVE.value, or_(schedules.c.next_fire_at <= now, waits))
    return list(
        connection.execute(select(schedules.c.id).where(due).order_by(schedules.c.stepped_at, schedules.c.id)).scalars()
    )


def take_turn(connection: Connection, schedule_id: int) -> bool:
    """Note that a schedule had its turn, so that the others come first; tell whether it is there.

    Nobody else can change it until the transaction ends.
    """
    now = database_now(connection.dialect.name)
    statement = update(schedules).where(schedules.c.id == schedule_id).values(stepped_at=now)
    return connection.execute(statement).rowcount == 1


def move_on(connection: Connection, schedule: Schedule, next_fire_at: datetime | None) -> bool:
    """Move an active schedule to its next time, if nobody has done so; without one it ends."""
    values: dict[str, object] = {"next_fire_at": next_fire_at}
    if next_fire_at is None:
        values |= {"state": ScheduleState.ENDED.value, "state_reason": "there is no later time"}
    statement = (
        update(schedules)
        .where(
            schedules.c.id == schedule.id,
            schedules.c.state == ScheduleState.ACTIVE.value,
            schedules.c.next_fire_at == schedule.next_fire_at,
        )
        .values(values)
    )
    return connection.execute(statement).rowcount == 1


def pause(connection: Connection, schedule_id: int, reason: str) -> None:
    """Let a schedule run no more until it is resumed; a run that waits is given up."""
    change(connection, schedule_id, state=ScheduleState.PAUSED.value, state_reason=reason, next_fire_at=None)
    given_up = update(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id, _WAITING)
    connection.execute(given_up.values(outcome=RunOutcome.SKIPPED.value, reason="the schedule was paused meanwhile"))


# Runs.

_WAITING = schedule_runs.c.outcome == RunOutcome.WAITING.value


def insert_run(connection: Connection, schedule_id: int, run: Run) -> None:
    """Record what became of a time."""
    values = asdict(run) | {"schedule_id": schedule_id, "recorded_at": database_now(connection.dialect.name)}
    connection.execute(insert(schedule_runs).values(values | {"outcome": run.outcome.value}))


def replace_waiting(connection: Connection, schedule_id: int, run: Run) -> bool:
    """Record what became of a time that waited, if it still does."""
    statement = (
        update(schedule_runs)
        .where(schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.fire_time == run.fire_time, _WAITING)
        .values(outcome=run.outcome.value, late=run.late, reason=run.reason, job_id=run.job_id)
    )
    return connection.execute(statement).rowcount == 1


def find_waiting(connection: Connection, schedule_id: int) -> Run | None:
    """Read the run that waits for the job of an earlier one."""
    query = select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id, _WAITING)
    row = connection.execute(query.order_by(schedule_runs.c.fire_time).limit(1)).one_or_none()
    return None if row is None else _run(row)


def latest_time(connection: Connection, schedule_id: int) -> datetime | None:
    """Give the latest time of which something was recorded."""
    query = select(func.max(schedule_runs.c.last_time)).where(schedule_runs.c.schedule_id == schedule_id)
    latest: datetime | None = connection.execute(query).scalar_one()
    return latest


def find_runs(connection: Connection, schedule_id: int, limit: int) -> list[Run]:
    """Read the last runs of a schedule, newest first."""
    query = select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id)
    return [_run(row) for row in connection.execute(query.order_by(schedule_runs.c.fire_time.desc()).limit(limit))]


def find_last_runs(connection: Connection, schedule_ids: Sequence[int]) -> dict[int, Run]:
    """Read the last run of each of these schedules."""
    runs, later = schedule_runs, schedule_runs.alias()
    newer = exists().where(later.c.schedule_id == runs.c.schedule_id, later.c.fire_time > runs.c.fire_time)
    query = select(runs).where(runs.c.schedule_id.in_(schedule_ids), ~newer)
    return {row.schedule_id: _run(row) for row in connection.execute(query)}


def count_outcomes(connection: Connection, since: datetime) -> dict[str, int]:
    """Count the times of all schedules by what became of them, and those that were late."""
    runs = schedule_runs.c
    recent = select(runs.outcome, func.sum(runs.times)).where(runs.recorded_at >= since).group_by(runs.outcome)
    counts = {row[0]: int(row[1]) for row in connection.execute(recent.order_by(runs.outcome))}
    late = select(func.count()).select_from(schedule_runs).where(runs.recorded_at >= since, runs.late)
    return counts | {"late": connection.execute(late).scalar_one()}


def find_unfinished_job(connection: Connection, schedule_id: int) -> Job | None:
    """Read the oldest job of a schedule that has not ended."""
    query = (
        select(func.min(jobs.c.id))
        .join(schedule_runs, schedule_runs.c.job_id == jobs.c.id)
        .where(schedule_runs.c.schedule_id == schedule_id, jobs.c.finished_at.is_(None))
    )
    job_id = connection.execute(query).scalar_one()
    return None if job_id is None else job_rows.find_job(connection, job_id)


def _schedule(row: Row) -> Schedule:  # type: ignore[type-arg]
    notice = None if row.notice_seconds is None else timedelta(seconds=row.notice_seconds)
    return Schedule(
        id=row.id,
        name=row.name,
        owner_id=row.owner_id,
        owner_login=row.owner_login,
        location_id=row.location_id,
        timing=_from_json(Timing, row.timing),
        request=_from_json(ResetRequest, row.request),
        options=_from_json(JobOptions, row.options),
        policies=Policies(
            catch_up=CatchUp(row.catch_up),
            overlap=Overlap(row.overlap),
            max_users=row.max_users,
            notice=notice,
        ),
        state=ScheduleState(row.state),
        state_reason=row.state_reason,
        next_fire_at=row.next_fire_at,
        created_at=row.created_at,
    )


def _run(row: Row) -> Run:  # type: ignore[type-arg]
    values = {name: getattr(row, name) for name in Run.__dataclass_fields__}
    return Run(**values | {"outcome": RunOutcome(row.outcome)})


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a class, or a union of classes
    return TypeAdapter(kind)


def _as_json(kind: Any, value: object) -> str:  # noqa: ANN401
    return _adapter(kind).dump_json(value).decode()


def _from_json(kind: Any, text: str) -> Any:  # noqa: ANN401
    return _adapter(kind).validate_json(text)
