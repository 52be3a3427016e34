"""Whether a job must wait now, why and until when; and when one that may run will have to stop. Pure decisions.

What makes a job wait is what it was submitted with, a time before which it may not begin and windows; and what the
system says, blackouts and a database under strain, unless the job is urgent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jobs.blackout import Blackout
from jobs.windows import Window, next_opening, open_until
from jobs.zones import utc_text

_CHUNKS_LEFT = 2
"""A chunk is begun only while there is time for this many."""


class Wishes(Protocol):
    """When a job may run, as it was submitted."""

    @property
    def not_before(self) -> datetime | None:
        """Before this it does not begin."""

    @property
    def windows(self) -> Sequence[Window]:
        """When it may run; none means always."""

    @property
    def urgent(self) -> bool:
        """Whether the system may not make it wait."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the system says now.

    Attributes:
        now: by the database's clock.
        blackouts: those that are not over.
        strain: what shows that the database can take no more work, if it cannot.

    """

    now: datetime
    blackouts: Sequence[Blackout] = ()
    strain: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a job waits, and when that is over, where that is known."""

    reason: str
    until: datetime | None


def hold_of(wishes: Wishes, location_id: int | None, around: Surroundings) -> Hold | None:
    """Say what makes a job wait now, if anything does.

    Args:
        wishes: when it may run.
        location_id: whose records it resets; None stands for all locations.
        around: what the system says.

    """
    own = _own_hold(wishes, around.now)
    return system_hold(location_id, around) if own is None and not wishes.urgent else own


def system_hold(location_id: int | None, around: Surroundings) -> Hold | None:
    """Say why the system makes jobs wait now that are not urgent, if it does."""
    concerning = [blackout for blackout in around.blackouts if blackout.concerns(location_id)]
    begun = [blackout for blackout in concerning if blackout.begins <= around.now < blackout.ends]
    if begun:
        last = max(begun, key=lambda blackout: blackout.ends)
        return Hold(reason=f"blackout {last}; ends {utc_text(last.ends)}", until=last.ends)
    if around.strain is not None:
        return Hold(reason=f"the database is under strain ({around.strain}); goes on when it is calm", until=None)
    return None


def _own_hold(wishes: Wishes, now: datetime) -> Hold | None:
    start, windows = wishes.not_before, wishes.windows
    if start is not None and start > now:
        return Hold(reason=f"not before {utc_text(start)}", until=start)
    if windows and open_until(windows, now) is None:
        opening = next_opening(windows, now)
        return Hold(reason=f"{_outside(windows)}; opens {utc_text(opening)}", until=opening)
    return None


def closing_of(wishes: Wishes, location_id: int | None, around: Surroundings) -> datetime | None:
    """Give the moment from which a job that may run now may not commit any more; None if there is none in sight."""
    found = [] if wishes.urgent else [each.begins for each in around.blackouts if each.concerns(location_id)]
    until = open_until(wishes.windows, around.now) if wishes.windows else None
    return min((moment for moment in (*found, until) if moment is not None and moment > around.now), default=None)


def seconds_needed(chunk_seconds: float) -> float:
    """Give the seconds that must be left before a job's closing for another of its chunks to begin.

    Args:
        chunk_seconds: what a chunk should take.

    """
    return _CHUNKS_LEFT * chunk_seconds


def _outside(windows: Sequence[Window]) -> str:
    names = ", ".join(str(window) for window in windows)
    return f"outside its {'window' if len(windows) == 1 else 'windows'} {names}"
