"""The use cases about schedules: add, edit, list, show, pause, resume, remove, run, and who falls due."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from jobs import authorization
from jobs.attention import TIMES_SHOWN, ScheduleStatus, statuses_of_schedules
from jobs.database import Database, read_now
from jobs.errors import Conflict, InputRefused, NotFound, NothingMeant, shown
from jobs.falling_due import DueLine, find_due
from jobs.firing import Turn, make_job
from jobs.model import Access, Actor
from jobs.ownership import find_owner
from jobs.records.people import Location, find_actor, find_location, logins_of
from jobs.schedule import Plan, Run, RunOutcome, Schedule, ScheduleState
from jobs.store import schedule_rows, standing_rows
from jobs.store.version import require_schema
from jobs.submission import Preview, preview, resolve
from jobs.timing import Every

_RUNS_SHOWN = 20
_AHEAD = timedelta(days=30)
PlanT = TypeVar("PlanT", bound=Plan)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a schedule would do if it were added and ran now.

    Attributes:
        preview: None where it would find nobody or nothing; then `note` says so.
        times: when it would run next.

    """

    preview: Preview | None
    note: str | None
    times: tuple[datetime, ...]


class Scheduling:
    """What one actor may do with schedules: an administrator with those of its location, a super user with all.

    Args:
        database: where they are.
        login: who acts.
        grace: how much later than its time a run is not called late.

    Raises:
        DatabaseUnavailable: the database holds no schema of this version.

    """

    def __init__(self, database: Database, login: str | None, grace: timedelta) -> None:
        require_schema(database)
        self._database = database
        self._login = authorization.require_named(login)
        self._grace = grace

    def add(self, plan: Plan) -> None:
        """Add a schedule that acts as the actor.

        Raises:
            Conflict: the name is taken.
            InputRefused: it would never run, or names something unknown.

        """
        try:
            with self._database.write() as connection:
                actor, plan = self._prepare(connection, plan)
                if schedule_rows.find_by_name(connection, plan.name) is not None:
                    raise _taken(plan.name)
                first = next(plan.timing.after(read_now(connection)))
                schedule_rows.insert_schedule(
                    connection, plan, owner_id=actor.id, owner_login=actor.login, next_fire_at=first
                )
        except IntegrityError as error:  # somebody else took the name at the same moment
            raise _taken(plan.name) from error

    def rehearse(self, plan: Plan) -> Rehearsal:
        """Show what a schedule would do if it were added and ran now; write nothing.

        Raises:
            Conflict: the name is taken.
            InputRefused: it would never run, or names something unknown.

        """
        with self._database.read() as connection:
            actor, plan = self._prepare(connection, plan)
            if schedule_rows.find_by_name(connection, plan.name) is not None:
                raise _taken(plan.name)
            now = read_now(connection)
            times = tuple(islice(plan.timing.after(now), TIMES_SHOWN))
            try:
                resolved = resolve(connection, actor, plan.request, self._location(connection, plan), now)
            except NothingMeant as nothing:
                return Rehearsal(preview=None, note=nothing.message, times=times)
            found = preview(connection, resolved, plan.options)
        return Rehearsal(preview=found, note=_held_note(plan, found), times=times)

    def edit(self, name: str, revise: Callable[[Schedule], Schedule], *, take_over: bool = False) -> None:
        """Change when a schedule runs, its policies or what it asks for.

        Args:
            name: which.
            revise: gives the schedule as it should be.
            take_over: whether it acts as the actor from now on.

        Raises:
            InputRefused: it would never run, or names something unknown.

        """
        with self._database.write() as connection:
            schedule = self._locked(connection, name)
            revised = revise(schedule)
            actor, plan = self._prepare(connection, revised, rechecks_time=revised.timing != schedule.timing)
            values = schedule_rows.plan_values(plan)
            if take_over:
                values |= schedule_rows.owner_values(actor.id, actor.login)
            if plan.timing != schedule.timing and schedule.state is not ScheduleState.PAUSED:
                values |= self._active_from_now(connection, replace(schedule, timing=plan.timing))
            schedule_rows.change(connection, schedule.id, **values)

    def schedules(self) -> list[ScheduleStatus]:
        """Give the schedules that the actor may know of, in the order of their names."""
        with self._database.read() as connection:
            actor = self._administrator(connection)
            at = None if actor.access is Access.SUPER_USER else actor.location_id
            return statuses_of_schedules(connection, schedule_rows.find_all(connection, location_id=at), self._grace)

    def show(self, name: str) -> tuple[ScheduleStatus, list[Run]]:
        """Give a schedule and its last runs, newest first."""
        with self._database.read() as connection:
            schedule = self._find(connection, name)
            status = statuses_of_schedules(connection, [schedule], self._grace)[0]
            return status, schedule_rows.find_runs(connection, schedule.id, _RUNS_SHOWN)

    def pause(self, name: str) -> None:
        """Let a schedule run no more until it is resumed; nothing happens to one that is paused.

        Raises:
            Conflict: it has ended.

        """
        with self._database.write() as connection:
            schedule = self._locked(connection, name)
            _require_not_ended(schedule)
            if schedule.state is ScheduleState.ACTIVE:
                schedule_rows.pause(connection, schedule.id, f"paused by {self._login}")

    def resume(self, name: str) -> None:
        """Let a paused schedule run again, from its next time on; nothing happens to one that does.

        Raises:
            Conflict: it has ended, or its owner may not do any more what it asks for.

        """
        with self._database.write() as connection:
            schedule = self._locked(connection, name)
            _require_not_ended(schedule)
            if schedule.state is ScheduleState.PAUSED:
                find_owner(connection, schedule)
                schedule_rows.change(connection, schedule.id, **self._active_from_now(connection, schedule))

    def remove(self, name: str) -> None:
        """Forget a schedule and its runs; its jobs stay."""
        with self._database.write() as connection:
            schedule_rows.remove(connection, self._locked(connection, name).id)

    def run(self, name: str) -> Run:
        """Run a schedule now, beside its times, with its own owner, words and policies.

        Raises:
            Conflict: a job of it has not ended, or its owner may not do any more what it asks for.
            InputRefused: it failed, and that is recorded.

        """
        with self._database.read() as connection:
            schedule = self._find(connection, name)
            find_owner(connection, schedule)
            unfinished = schedule_rows.find_unfinished_job(connection, schedule.id)
            if unfinished is not None:
                raise Conflict(
                    f"job {unfinished.id} of the schedule {name} is {unfinished.state.value}; "
                    "wait for its end, or cancel it"
                )
            now = read_now(connection)
        asked = Run(fire_time=now, last_time=now, times=1, outcome=RunOutcome.SUBMITTED)
        turn = make_job(self._database, schedule, Turn(run=asked), between=lambda: None)
        if turn is None or turn.run is None:
            raise NotFound(
                f"the schedule {name} was removed meanwhile; 'training-reset schedule list' names the others"
            )
        if turn.run.outcome is RunOutcome.FAILED:
            raise InputRefused(
                f"the run of the schedule {name} failed ({turn.run.reason}); mend it with 'schedule edit'"
            ) from turn.surprise
        return turn.run

    def due(self, name: str, within: timedelta | None = None) -> list[tuple[DueLine, str]]:
        """Give what falls due, with the logins of its users, in the order in which it does.

        Args:
            name: which schedule.
            within: how far ahead; its notice, or 30 days, unless it is given.

        Raises:
            InputRefused: the schedule asks for no age and no date, so that nothing falls due.
            Conflict: its owner may not do any more what it asks for.

        """
        with self._database.read() as connection:
            schedule = self._find(connection, name)
            try:
                lines = find_due(connection, schedule, within or schedule.policies.notice or _AHEAD)
            except NothingMeant:
                return []
            logins = logins_of(connection, {line.user_id for line in lines})
        return [(line, logins[line.user_id]) for line in lines]

    # How the above look things up.

    def _prepare(self, connection: Connection, plan: PlanT, *, rechecks_time: bool = True) -> tuple[Actor, PlanT]:
        """Check a plan and give it with its location spelled out and its interval counted from now."""
        actor, now = self._administrator(connection), read_now(connection)
        if rechecks_time and isinstance(plan.timing, Every):
            plan = replace(plan, timing=replace(plan.timing, since=now.replace(microsecond=0)))
        plan.check(now if rechecks_time else None)
        standing = standing_rows.read_standing(connection, actor.id)
        location_id = authorization.location_of(actor, plan.request.location, standing)
        location = None if location_id is None else find_location(connection, location_id)
        plan = replace(plan, request=replace(plan.request, location=location_id or "all"))
        with suppress(NothingMeant):
            resolve(connection, actor, plan.request, location, now)
        return actor, plan

    def _location(self, connection: Connection, plan: Plan) -> Location | None:
        at = plan.request.location
        return find_location(connection, at) if isinstance(at, int) else None

    def _administrator(self, connection: Connection) -> Actor:
        actor = find_actor(connection, self._login)
        authorization.require_administrator(actor)
        return actor

    def _find(self, connection: Connection, name: str) -> Schedule:
        actor, schedule = self._administrator(connection), schedule_rows.find_by_name(connection, name)
        if schedule is None or not authorization.may_see_schedule(actor, schedule.location_id):
            raise NotFound(f"no schedule is called {shown(name)!r}; 'training-reset schedule list' names them")
        return schedule

    def _locked(self, connection: Connection, name: str) -> Schedule:
        """Find a schedule that nobody else changes until the transaction ends."""
        schedule_rows.take_turn(connection, self._find(connection, name).id)
        return self._find(connection, name)

    def _active_from_now(self, connection: Connection, schedule: Schedule) -> dict[str, object]:
        """Give the columns of a schedule that runs from its next time on, never again at one that is recorded."""
        recorded = schedule_rows.latest_time(connection, schedule.id)
        now = read_now(connection)
        following = next(schedule.timing.after(now if recorded is None else max(now, recorded)), None)
        if following is None:
            raise _ended(schedule.name)
        return {"state": ScheduleState.ACTIVE.value, "state_reason": None, "next_fire_at": following}


def _require_not_ended(schedule: Schedule) -> None:
    if schedule.state is ScheduleState.ENDED:
        raise _ended(schedule.name)


def _ended(name: str) -> Conflict:
    return Conflict(f"the schedule {name} has no time left; give it another one with 'schedule edit', or remove it")


def _taken(name: str) -> Conflict:
    return Conflict(f"a schedule is called {name} already; choose another name, or change it with 'schedule edit'")


def _held_note(plan: Plan, found: Preview) -> str | None:
    most = plan.policies.max_users
    if most is None or found.changed <= most:
        return None
    return f"Such a run is held: it would change more than the {most:,} users of --max-users."
