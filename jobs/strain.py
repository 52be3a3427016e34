"""How much work the database is given, by the signs of strain that it shows. Pure decisions.

The pace goes down a step while signs last, to a smaller window first and to holding in the end, and up a step while
they stay away. So a job whose own work is the strain finds a window that causes none; a held one probes with the
smallest; and signs that come and go change nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Protocol

FULL_PACE = 4
"""Each step below it halves the window; none is left at 0."""

_ENOUGH_RECENT, _ENOUGH_BEFORE = 3, 8
_SLOW_CHUNKS = 2

Chunk = tuple[int, float]
"""Its users, and the seconds that it took."""


class StrainLimits(Protocol):
    """What counts as strain, and for how long it must last."""

    @property
    def strain_lock_waits(self) -> int:
        """So many sessions that wait for a lock are strain."""

    @property
    def strain_active_sessions(self) -> int:
        """So many sessions at work are strain."""

    @property
    def strain_replication_lag_seconds(self) -> float:
        """A replica so far behind is strain."""

    @property
    def strain_slowdown(self) -> float:
        """Chunks that take so many times what they took before are strain."""

    @property
    def strain_worsens_seconds(self) -> float:
        """After so much strain the pace goes down a step."""

    @property
    def strain_calm_seconds(self) -> float:
        """After so much calm the pace goes up a step."""

    @property
    def chunk_seconds(self) -> float:
        """The time that a chunk should take."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a database shows of its load at one moment, this program's own sessions left out.

    Attributes:
        lock_waits: sessions that have waited for a lock for half a second or longer.
        active_sessions: sessions at work.
        lag_seconds: how far the slowest replica is behind.
        chunks: the latest chunks of each job at work, those of the last seconds and those before.

    """

    lock_waits: int = 0
    active_sessions: int = 0
    lag_seconds: float = 0
    chunks: Sequence[tuple[Sequence[Chunk], Sequence[Chunk]]] = ()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast jobs may go now.

    Attributes:
        level: `FULL_PACE`, or a step below it, down to 0, where they hold.
        sign: what made it go down; None at full pace.
        strained: whether the last reading showed strain.
        since: since when, or since the last step if that was later.

    """

    level: int = FULL_PACE
    sign: str | None = None
    strained: bool = False
    since: datetime

    @property
    def reduced(self) -> bool:
        """Whether jobs go slower than they could, or are about to."""
        return self.level < FULL_PACE or self.strained

    def window(self, full: int) -> int:
        """Give how many chunks may be in flight; what is urgent goes on even where all else holds."""
        return max(1, full >> (FULL_PACE - max(1, self.level)))


def sign_of_strain(reading: Reading, limits: StrainLimits) -> str | None:
    """Say what shows that the database is under strain, if anything does."""
    return next(_signs(reading, limits), None)


def next_pace(pace: Pace, sign: str | None, now: datetime, limits: StrainLimits) -> Pace:
    """Give the pace after one more reading.

    Args:
        pace: as it was.
        sign: what the reading shows.
        now: when it was taken.
        limits: how long strain and calm must last.

    """
    if pace.strained != (sign is not None):
        return replace(pace, strained=sign is not None, since=now)
    lasting = limits.strain_calm_seconds if sign is None else limits.strain_worsens_seconds
    if now - pace.since < timedelta(seconds=lasting):
        return pace
    if sign is not None:
        return replace(pace, level=max(0, pace.level - 1), sign=sign, since=now) if pace.level else pace
    level = min(FULL_PACE, pace.level + 1)
    return replace(pace, level=level, sign=None if level == FULL_PACE else pace.sign, since=now)


def _signs(reading: Reading, limits: StrainLimits) -> Iterator[str]:
    if reading.lock_waits >= limits.strain_lock_waits:
        yield f"sessions that wait for a lock: {reading.lock_waits}"
    if reading.lag_seconds >= limits.strain_replication_lag_seconds:
        yield f"a replica is {reading.lag_seconds:.0f} s behind"
    if reading.active_sessions >= limits.strain_active_sessions:
        yield f"sessions at work: {reading.active_sessions}"
    factor = max((_slowdown(recent, before, limits) for recent, before in reading.chunks), default=0.0)
    if factor >= limits.strain_slowdown:
        yield f"chunks take {factor:.1f} times as long as before"


def _slowdown(recent: Sequence[Chunk], before: Sequence[Chunk], limits: StrainLimits) -> float:
    """Give how much slower a user is now than usual; 0 where there is too little to tell, or no chunk is slow."""
    if len(recent) < _ENOUGH_RECENT or len(before) < _ENOUGH_BEFORE:
        return 0.0
    if median(seconds for _, seconds in recent) < _SLOW_CHUNKS * limits.chunk_seconds:
        return 0.0
    usual = median(seconds / users for users, seconds in before)
    return median(seconds / users for users, seconds in recent) / max(usual, 1e-6)
