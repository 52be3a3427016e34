"""When a schedule runs: the times of a cron expression, of an interval, or one time. Pure.

A cron expression is read against the wall clock of its zone. Each hour and minute that it names runs once: one that
the clock skips in spring runs at the next valid time, one that comes twice in autumn runs the first time. An
interval counts elapsed time and knows no clock.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jobs.errors import InputRefused, shown
from jobs.zones import find_zone, first_showing, utc_text

_AGE = re.compile(r"([0-9]{1,20})([smhdw])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_SHORTEST = timedelta(seconds=1)


def parse_age(text: str) -> timedelta | None:
    """Read a length of time such as 365d, 12h or 2w; None where it is written otherwise.

    Raises:
        OverflowError: it is longer than the calendar.

    """
    age = _AGE.fullmatch(text)
    if age is None:
        return None
    return int(age[1]) * (timedelta(weeks=1) if age[2] == "w" else _UNITS[age[2]])


def age_text(age: timedelta) -> str:
    """Write a length of time as `parse_age` reads it, in the largest unit that divides it."""
    for letter, unit in _UNITS.items():
        if age % unit == timedelta(0):
            return f"{age // unit}{letter}"
    raise ValueError(f"no length of time in whole seconds: {age}")


@dataclass(frozen=True)
class Cron:
    """The times of a cron expression of five fields, read against the wall clock of a time zone."""

    expression: str
    timezone: str = "UTC"

    def check(self, now: datetime) -> None:
        """Refuse an expression or a zone that nobody can read, and one that never comes.

        Raises:
            InputRefused: naming it.

        """
        said = shown(self.expression)
        if len(self.expression.split()) != _CRON_FIELDS or len(self.expression) > _LONGEST_CRON:
            raise InputRefused(f"--cron {said!r} is not five fields; give {_CRON_MEND}")
        _zone(self.timezone)
        try:
            comes = next(self.after(now), None)
        except (CronSimError, ValueError, AssertionError) as error:
            raise InputRefused(f"--cron {said!r} is no cron expression ({error}); give {_CRON_MEND}") from error
        if comes is None:
            raise InputRefused(f"--cron {said!r} never comes; give days that its months have")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Give every time after a moment, in UTC and in order."""
        zone, latest = _zone(self.timezone), moment
        for wall_clock in CronSim(self.expression, moment.astimezone(zone).replace(tzinfo=None)):
            time = first_showing(wall_clock, zone)
            if time > latest:  # not the second time the clock shows it, nor again what skipped times were moved to
                latest = time
                yield time


@dataclass(frozen=True)
class Every:
    """Every so long, counted from a moment in elapsed time."""

    interval: timedelta
    since: datetime

    def check(self, now: datetime) -> None:
        """Refuse an interval that is too short or too long.

        Raises:
            InputRefused: naming it.

        """
        if self.interval < _SHORTEST:
            raise InputRefused(f"--every {age_text(self.interval)} is no interval; give 1s or more, such as 6h")
        if next(self.after(now), None) is None:
            raise InputRefused(f"--every {age_text(self.interval)} reaches beyond the calendar; give a shorter one")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Give every time after a moment, in UTC and in order."""
        number = max(1, (moment - self.since) // self.interval + 1)
        try:
            time = self.since + number * self.interval
            while True:
                yield time
                time += self.interval
        except OverflowError:
            return


@dataclass(frozen=True)
class Once:
    """One time."""

    at: datetime

    def check(self, now: datetime) -> None:
        """Refuse a time that is over.

        Raises:
            InputRefused: naming it.

        """
        if self.at <= now:
            raise InputRefused(
                f"--once {utc_text(self.at)} is not in the future (now {utc_text(now)}); give a later time"
            )

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Give the time if it is after a moment."""
        if self.at > moment:
            yield self.at


Timing = Cron | Every | Once


@dataclass(frozen=True, kw_only=True)
class Due:
    """The times of a schedule that have come.

    Attributes:
        count: how many.
        before_last: the time before the last one; None if there is only one.
        next: the first time that is not among them; None if there is none ever.

    """

    count: int
    first: datetime
    before_last: datetime | None
    last: datetime
    next: datetime | None


def due_times(timing: Timing, first: datetime, now: datetime, most: int) -> Due:
    """Give the times from `first`, which has come, up to now; at most so many of them, the oldest."""
    count, before_last, last = 1, None, first
    following = None
    for time in timing.after(first):
        if time > now or count == most:
            following = time
            break
        count, before_last, last = count + 1, last, time
    return Due(count=count, first=first, before_last=before_last, last=last, next=following)


_CRON_FIELDS, _LONGEST_CRON = 5, 500
_CRON_MEND = 'minute, hour, day of month, month and day of week, such as "0 2 1 * *"'


def _zone(name: str) -> ZoneInfo:
    try:
        return find_zone(name)
    except ValueError as error:
        raise InputRefused(f"{error}") from error
