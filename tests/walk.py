"""A walk through every minute of UTC: what the times of a schedule are compared with."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def walk(zone: str, begin: datetime, end: datetime) -> Iterator[tuple[datetime, list[datetime]]]:
    """Every minute between two moments, with the times that the clock then shows or skips for the first time."""
    at = ZoneInfo(zone)
    moment, latest = begin, begin.astimezone(at).replace(tzinfo=None)
    while (moment := moment + MINUTE) < end:
        shown = moment.astimezone(at).replace(tzinfo=None)
        if shown > latest:
            yield moment, [latest + n * MINUTE for n in range(1, (shown - latest) // MINUTE + 1)]
            latest = shown
