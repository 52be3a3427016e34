"""How large the next chunk is and which jobs get the free places of the window. Pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_LARGEST_STEP = 2.0
_GENTLE_SIZE = 0.1
_RATE_SLICE_SECONDS = 2.0
_LONGEST_REST_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a chunk, and the time that it should take in seconds."""

    start: int
    largest: int
    seconds: float


def next_size(
    recent: Sequence[tuple[int, float | None]], limits: Limits, *, newest: int | None = None, gently: bool = False
) -> int:
    """Give the users of the next chunk, so that it takes about the wanted time.

    Args:
        recent: (users, seconds) of the job's latest chunks, newest first; may be empty. One that took too long, or
            failed otherwise, and must run again has no seconds.
        limits: the bounds.
        newest: the users of its newest chunk, which may be in flight; a step is taken from there, so that the size
            need not wait for a whole window of small chunks. Unless given, that of the latest.
        gently: whether others wait for chunks; then they take a tenth of the time, at once and not by steps, but have
            no less than a tenth of the users of a first one: most of the time of a smaller one is not the users'.

    """
    if not recent:
        return limits.start
    latest, its_seconds = recent[0]
    done = [(users, seconds) for users, seconds in recent if seconds is not None]
    if its_seconds is None or not done:
        return max(1, min(round(latest / _LARGEST_STEP), limits.largest))
    before = latest if newest is None else newest
    users, seconds = sum(users for users, _ in done), sum(seconds for _, seconds in done)
    wanted = users / max(seconds, 1e-6) * limits.seconds
    bounded = min(max(wanted, before / _LARGEST_STEP), before * _LARGEST_STEP)
    if gently:
        bounded = min(bounded, max(wanted, limits.start) * _GENTLE_SIZE)
    return max(1, min(round(bounded), limits.largest))


def rest_seconds(took: float, share: float) -> float:
    """Give how long a process rests after a chunk while others wait for chunks, in seconds, at most five.

    Args:
        took: the seconds of its chunk.
        share: of its time in which it may work, above 0 and at most 1.

    """
    return min(took * (1 / share - 1), _LONGEST_REST_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A job that could use a place in the window.

    Attributes:
        in_flight: chunks of it that have a place.
        unsent: chunks of it that had one, or are parts of such, and wait for a message.
        remaining: users not yet in any chunk.
        size: users that its next chunk should have.
        not_before: when its rate allows the next chunk, or None.

    """

    job_id: int
    priority: int
    in_flight: int
    unsent: int = 0
    remaining: int
    size: int
    max_rate: float | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """One place for a chunk.

    Attributes:
        size: users of a new chunk; 0 gives the place to one that waits for a message.

    """

    job_id: int
    size: int
    next_dispatch_at: datetime | None


def fill_window(free: int, candidates: Sequence[Candidate], now: datetime) -> list[Allotment]:
    """Share the free places: higher priority first, then whoever has the fewest in flight, then the oldest.

    A job's chunks that wait for a message go before new ones; its rate has counted their users already.
    """
    allotted: list[Allotment] = []
    waiting = {candidate.job_id: candidate for candidate in candidates}
    for _ in range(free):
        ready = [c for c in waiting.values() if c.unsent or (c.remaining and (not c.not_before or c.not_before <= now))]
        if not ready:
            break
        chosen = min(ready, key=lambda c: (-c.priority, c.in_flight, c.job_id))
        allotment = _allot(chosen, now)
        allotted.append(allotment)
        waiting[chosen.job_id] = replace(
            chosen,
            in_flight=chosen.in_flight + 1,
            unsent=max(0, chosen.unsent - 1),
            remaining=chosen.remaining - allotment.size,
            not_before=allotment.next_dispatch_at,
        )
    return allotted


def _allot(candidate: Candidate, now: datetime) -> Allotment:
    if candidate.unsent:
        return Allotment(job_id=candidate.job_id, size=0, next_dispatch_at=candidate.not_before)
    size = min(candidate.size, candidate.remaining)
    if candidate.max_rate is None:
        return Allotment(job_id=candidate.job_id, size=size, next_dispatch_at=None)
    size = min(size, max(1, int(candidate.max_rate * _RATE_SLICE_SECONDS / 2)))
    # A chunk takes at most half a slice, or it is one user; only what is left of the slice is made up for after a
    # pause. So over every stretch of time a job is ahead of its rate by one slice, or one user, at most.
    made_up_for = max(0.0, _RATE_SLICE_SECONDS - max(_RATE_SLICE_SECONDS / 2, size / candidate.max_rate))
    since = max(candidate.not_before or now, now - timedelta(seconds=made_up_for))
    return Allotment(
        job_id=candidate.job_id,
        size=size,
        next_dispatch_at=since + timedelta(seconds=size / candidate.max_rate),
    )
