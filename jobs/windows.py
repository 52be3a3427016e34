"""Windows: the times of day at which a job may run, by the clock of a zone. Pure.

The clock of a zone is set forward and back. A window opens when that clock first shows its opening time on one of
its days, or jumps over it, and closes when that clock first shows its closing time after that, or jumps over it. So
a window opens once a day whatever the clock does, and one that lies wholly in an hour that is left out does not open.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Self

from jobs.errors import shown
from jobs.zones import find_zone, first_showing

Spell = tuple[datetime, datetime]
"""From when until when a window is open, in UTC."""

_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = tuple(range(7))
_DAY = 24 * 3600
_DAYS_BACK, _DAYS_AHEAD = 2, 15
"""What is open began at most two days ago; what opens once a week opens within a fortnight, even if left out once."""

_WINDOW = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)\s+)?(?P<opens>[\d:]+)-(?P<closes>[\d:]+)(?:\s+(?P<zone>\S+))?",
    re.ASCII | re.IGNORECASE,
)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_EXAMPLE = "give one like 22:00-05:00 or 'mon-fri 22:00-05:00 Europe/London'"


@dataclass(frozen=True, order=True, kw_only=True)
class Window:
    """A time of day, on some days of the week, by the clock of a zone.

    Attributes:
        opens: seconds after midnight.
        closes: seconds after the same midnight, more than `opens` and at most a day later.
        zone: the name of a time zone.
        weekdays: the days on which it opens, in order; 0 is Monday.

    """

    opens: int
    closes: int
    zone: str
    weekdays: tuple[int, ...] = _EVERY_DAY

    @classmethod
    def parse(cls, text: str, zone: str = "UTC") -> Self:
        """Read words like `22:00-05:00` or `mon-fri,sun 22:00-05:00 Europe/London`; `str` gives them back.

        Args:
            text: the words.
            zone: the zone where they name none.

        Raises:
            ValueError: with a sentence that shows the words and how they should be.

        """
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{shown(text)!r} is no window; {_EXAMPLE}")
        opens, closes = _seconds(found["opens"]), _seconds(found["closes"])
        if opens % _DAY == closes % _DAY and closes != _DAY:
            raise ValueError(f"{shown(text)!r} closes as it opens; give 00:00-24:00 for whole days")
        if opens == _DAY:
            raise ValueError(f"{shown(text)!r} opens at 24:00; give 00:00 of the next day")
        name = found["zone"] or zone
        return cls(
            opens=opens,
            closes=closes if closes > opens else closes + _DAY,
            zone=find_zone(name).key,
            weekdays=_weekdays(found["days"].lower()) if found["days"] else _EVERY_DAY,
        )

    def __str__(self) -> str:
        days = "" if self.weekdays == _EVERY_DAY else _days_text(self.weekdays) + " "
        closes = self.closes if self.closes == _DAY else self.closes % _DAY
        return f"{days}{_time_text(self.opens)}-{_time_text(closes)} {self.zone}"

    def spells(self, now: datetime) -> Iterator[Spell]:
        """Give from when until when it is open, from now on and for the next fortnight, each after the last."""
        zone = find_zone(self.zone)
        today = now.astimezone(zone).date()
        for days in range(-_DAYS_BACK, _DAYS_AHEAD + 1):
            day = today + timedelta(days=days)
            if day.weekday() in self.weekdays:
                midnight = _midnight(day)
                opening = first_showing(midnight + timedelta(seconds=self.opens), zone)
                closing = first_showing(midnight + timedelta(seconds=self.closes), zone)
                if max(opening, now) < closing:
                    yield opening, closing


def open_until(windows: Sequence[Window], now: datetime) -> datetime | None:
    """Give when windows will all be closed, looking a fortnight ahead; None if they are now."""
    edge = now
    for opening, closing in _spells(windows, now):
        if opening > edge:
            break
        edge = max(edge, closing)
    return edge if edge > now else None


def next_opening(windows: Sequence[Window], now: datetime) -> datetime:
    """Give when one of several windows, all closed now, opens."""
    return _spells(windows, now)[0][0]


def _spells(windows: Sequence[Window], now: datetime) -> list[Spell]:
    return sorted(spell for window in windows for spell in window.spells(now))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)


def _seconds(text: str) -> int:
    found = _TIME.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if max(minutes, seconds) > 59 or total > _DAY:  # noqa: PLR2004 - as clocks count
        raise ValueError(f"{shown(text)!r} is no time of day; {_EXAMPLE}")
    return total


def _time_text(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest:02}" if rest else text


def _weekdays(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = _weekday(first), _weekday(last or first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return tuple(sorted(days))


def _weekday(name: str) -> int:
    if name not in _DAY_NAMES:
        raise ValueError(f"{shown(name)!r} is no day of the week; give {', '.join(_DAY_NAMES)} or some of them")
    return _DAY_NAMES.index(name)


def _days_text(weekdays: Sequence[int]) -> str:
    """Write days down, three or more in a row as `mon-wed`."""
    breaks = [place + 1 for place, (day, following) in enumerate(pairwise(weekdays)) if following != day + 1]
    runs = [weekdays[begin:end] for begin, end in pairwise([0, *breaks, len(weekdays)])]
    return ",".join(
        f"{_DAY_NAMES[run[0]]}-{_DAY_NAMES[run[-1]]}" if len(run) > 2 else ",".join(_DAY_NAMES[day] for day in run)  # noqa: PLR2004
        for run in runs
    )
