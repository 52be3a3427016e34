"""A schedule as a value: what it asks for, when, its policies, its runs; and the decision what is due now. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.errors import InputRefused, shown
from jobs.scope import JobOptions, ResetRequest
from jobs.timing import Due, Timing, age_text, due_times

_NAME = re.compile(r"[^\W_][\w.-]{0,63}")
_MOST_USERS = 2**31 - 1
_LONGEST_NOTICE = timedelta(days=3650)


class CatchUp(StrEnum):
    """What becomes of times that were missed because nothing ran."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a time at which the job of an earlier one has not ended."""

    SKIP = "skip"
    QUEUE = "queue"


class ScheduleState(StrEnum):
    """Whether a schedule runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class RunOutcome(StrEnum):
    """What became of a time of a schedule."""

    WAITING = "waiting"
    SUBMITTED = "submitted"
    NOTHING = "nothing"
    SKIPPED = "skipped"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Policies:
    """How a schedule behaves, apart from when it runs and what it asks for.

    Attributes:
        max_users: a run that would change more is held.
        notice: how far ahead it is told who falls due.

    """

    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.SKIP
    max_users: int | None = None
    notice: timedelta | None = None

    def check(self) -> None:
        """Refuse numbers out of range.

        Raises:
            InputRefused: naming the value.

        """
        if self.max_users is not None and not 0 <= self.max_users <= _MOST_USERS:
            raise InputRefused(f"--max-users {self.max_users} is out of range; give 0 to {_MOST_USERS:,}")
        if self.notice is not None and not timedelta(0) < self.notice <= _LONGEST_NOTICE:
            raise InputRefused(
                f"--notice {age_text(self.notice)} is out of range; give 1s to {age_text(_LONGEST_NOTICE)}"
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What somebody asks to have scheduled."""

    name: str
    timing: Timing
    request: ResetRequest
    options: JobOptions
    policies: Policies = field(default_factory=Policies)

    def check(self, now: datetime | None) -> None:
        """Refuse what no database is needed to refuse.

        Args:
            now: after which it must run some time; None for a timing that is not new.

        Raises:
            InputRefused: naming the value.

        """
        if not _NAME.fullmatch(self.name):
            raise InputRefused(
                f"{shown(self.name)!r} is no name for a schedule; "
                "give at most 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"
            )
        if now is not None:
            self.timing.check(now)
        self.policies.check()
        self.request.check()
        self.options.check()
        if self.options.not_before is not None or self.options.idempotency_key is not None:
            raise InputRefused(
                "--not-before and --idempotency-key are about one job and a schedule makes many; leave them out"
            )


@dataclass(frozen=True, kw_only=True)
class Schedule(Plan):
    """One schedule as the store holds it.

    Attributes:
        location_id: where it acts; None means all locations.
        next_fire_at: its next time, as long as it is active.

    """

    id: int
    owner_id: int
    owner_login: str
    location_id: int | None
    state: ScheduleState
    state_reason: str | None
    next_fire_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of one time of a schedule, or of several missed ones from `fire_time` to `last_time`."""

    fire_time: datetime
    last_time: datetime
    times: int
    outcome: RunOutcome
    late: bool = False
    reason: str | None = None
    job_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is due for a schedule now.

    Attributes:
        missed: what is to be recorded of times that do not run.
        time: the time that runs, or that waits for the job of an earlier one.
        delay: how much later than its time that is; None within its grace.
        next: the schedule's next time then; None if there is none.

    """

    missed: Run | None
    time: datetime | None
    delay: timedelta | None
    next: datetime | None


def due_step(schedule: Schedule, now: datetime, grace: timedelta, most: int) -> Step | None:
    """Decide which of the times that have come run, and which were missed.

    Args:
        schedule: as the store holds it.
        now: the database's time.
        grace: how much later than its time a run is not called late.
        most: at most so many times are dealt with in one step, the oldest.

    """
    first, policy = schedule.next_fire_at, schedule.policies.catch_up
    if first is None or first > now:
        return None
    due = due_times(schedule.timing, first, now, 1 if policy is CatchUp.ALL else most)
    delay = now - due.last if now - due.last > grace else None
    more_have_come = due.next is not None and due.next <= now
    if policy is not CatchUp.ALL and (more_have_come or (delay and policy is CatchUp.NONE)):
        return Step(missed=_missed(schedule, due, due.count, due.last), time=None, delay=None, next=due.next)
    missed = None if due.before_last is None else _missed(schedule, due, due.count - 1, due.before_last)
    return Step(missed=missed, time=due.last, delay=delay, next=due.next)


def _missed(schedule: Schedule, due: Due, times: int, last: datetime) -> Run:
    said = "missed" if times == 1 else f"{times:,} times missed"
    return Run(
        fire_time=due.first,
        last_time=last,
        times=times,
        outcome=RunOutcome.SKIPPED,
        reason=f"{said}, nothing fired it then; {_POLICY_SAYS[schedule.policies.catch_up]}",
    )


_POLICY_SAYS = {
    CatchUp.NONE: "--catch-up none runs none of them",
    CatchUp.LAST: "--catch-up last runs the last one only",
}
