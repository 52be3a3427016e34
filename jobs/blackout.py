"""Blackouts: whole days on which no job runs that is not urgent. Pure."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from jobs.errors import shown
from jobs.zones import find_zone, first_showing

_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2}))?", re.ASCII)
_EARLIEST, _LATEST = date(1900, 1, 1), date(9000, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Blackout:
    """Days on which jobs wait, from the first midnight to the last by the clock of a zone.

    Attributes:
        location_id: the location whose jobs wait; None means everybody's.
        reason: what for, such as exams.
        actor_login: who ordered it.

    """

    id: int
    first_day: date
    last_day: date
    zone: str
    location_id: int | None
    reason: str
    actor_login: str

    @property
    def begins(self) -> datetime:
        """The moment from which jobs wait."""
        return self._midnight(self.first_day)

    @property
    def ends(self) -> datetime:
        """The moment from which they go on."""
        return self._midnight(self.last_day + timedelta(days=1))

    def concerns(self, location_id: int | None) -> bool:
        """Tell whether it is about jobs of a location; None stands for those of all, which touch every location."""
        return None in (self.location_id, location_id) or self.location_id == location_id

    def __str__(self) -> str:
        where = "" if self.location_id is None else f" at location {self.location_id}"
        return f"{days_text(self.first_day, self.last_day)} {self.zone}{where} ({self.reason})"

    def _midnight(self, day: date) -> datetime:
        return first_showing(datetime.combine(day, time.min), find_zone(self.zone))


def parse_days(text: str) -> tuple[date, date]:
    """Read `2026-12-20..2027-01-05`, or one day, as its first and last day.

    Raises:
        ValueError: with a sentence that shows the words and how they should be.

    """
    found = _DAYS.fullmatch(text.strip())
    try:
        first, last = (date.fromisoformat(day) for day in (found[1], found[2] or found[1])) if found else (None, None)
    except ValueError:
        first = last = None
    if first is None or last is None or not _EARLIEST <= min(first, last) <= max(first, last) < _LATEST:
        raise ValueError(f"{shown(text)!r} are no days; give 2026-12-20..2027-01-05, or one day")
    if last < first:
        raise ValueError(f"{shown(text)!r} ends before it begins; give {days_text(last, first)}")
    return first, last


def days_text(first: date, last: date) -> str:
    """Write days down as `parse_days` reads them."""
    return f"{first}" if first == last else f"{first}..{last}"
