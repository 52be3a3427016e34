"""Whether a job must wait now, why and until when; and when one that may run will have to stop. Pure decisions.

What makes a job wait is what it was submitted with: a time before which it may not begin, and windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jobs.windows import Window, next_opening, open_until

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


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a job waits, and when that is over."""

    reason: str
    until: datetime


def hold_of(wishes: Wishes, now: datetime) -> Hold | None:
    """Say what makes a job wait now, if anything does."""
    start, windows = wishes.not_before, wishes.windows
    if start is not None and start > now:
        return Hold(reason=f"not before {_text(start)}", until=start)
    if windows and open_until(windows, now) is None:
        opening = next_opening(windows, now)
        return Hold(reason=f"{_outside(windows)}; opens {_text(opening)}", until=opening)
    return None


def closing_of(wishes: Wishes, now: datetime) -> datetime | None:
    """Give the moment from which a job that may run now may not commit any more; None if there is none in sight."""
    return open_until(wishes.windows, now) if wishes.windows else None


def seconds_needed(chunk_seconds: float) -> float:
    """Give the seconds that must be left before a job's closing for another of its chunks to begin.

    Args:
        chunk_seconds: what a chunk should take.

    """
    return _CHUNKS_LEFT * chunk_seconds


def _outside(windows: Sequence[Window]) -> str:
    names = ", ".join(str(window) for window in windows)
    return f"outside its {'window' if len(windows) == 1 else 'windows'} {names}"


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
