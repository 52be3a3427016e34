"""Time zones: finding one by its name, when its clock first shows a time, and a time as it is written. Pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobs.errors import shown

_SECOND = timedelta(seconds=1)


def find_zone(name: str) -> ZoneInfo:
    """Give the time zone of a name such as `Europe/London`.

    Raises:
        ValueError: there is none, with a sentence that shows the name.

    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a directory of zones is none either
        raise ValueError(f"{shown(name)!r} is no time zone; give one like Europe/London, or UTC") from error


def utc_text(moment: datetime) -> str:
    """Write a time in UTC, ISO 8601 with `Z`."""
    return moment.isoformat().replace("+00:00", "Z")


def first_showing(wall: datetime, zone: ZoneInfo) -> datetime:
    """Give the first moment, in UTC, at which a zone's clock shows a time or has jumped over it.

    Args:
        wall: what the clock shows, in whole seconds and without a zone.
        zone: whose clock.

    """
    moment = wall.replace(tzinfo=zone).astimezone(UTC)  # the first one, where it is shown twice
    if _shown_at(moment, zone) == wall:
        return moment
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while moment - before > _SECOND:  # the clock jumps between the two
        middle = before + (moment - before) // _SECOND // 2 * _SECOND
        if _shown_at(middle, zone) < wall:
            before = middle
        else:
            moment = middle
    return moment


def _shown_at(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
