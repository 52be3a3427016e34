"""Windows: how they are written, and when they are open by the clock on the wall."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.windows import Window, next_opening, open_until
from jobs.zones import find_zone, first_showing

LOOK = timedelta(minutes=5)

CHANGES = {
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/Sao_Paulo": (date(2018, 11, 4), date(2019, 2, 16)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Antarctica/Troll": (date(2026, 3, 29), date(2026, 10, 25)),
    "Pacific/Apia": (date(2011, 12, 30), date(2011, 12, 31)),
    "Africa/Casablanca": (date(2026, 2, 15), date(2026, 3, 22)),
    "Asia/Kathmandu": (date(2026, 3, 29),),
    "UTC": (date(2026, 3, 29),),
}
"""Zones with days around which their clocks are set: by an hour, half an hour, two hours, at midnight, a whole day."""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("22:00-05:00", "22:00-05:00 UTC"),
        (" 9:30-17:05 ", "09:30-17:05 UTC"),
        ("00:00-24:00", "00:00-24:00 UTC"),
        ("22:00-00:00", "22:00-24:00 UTC"),
        ("22:00:30-05:00", "22:00:30-05:00 UTC"),
        ("mon-fri 22:00-05:00 Europe/London", "mon-fri 22:00-05:00 Europe/London"),
        ("SAT,sun 08:00-20:00", "sat,sun 08:00-20:00 UTC"),
        ("fri-mon 08:00-20:00", "mon,fri-sun 08:00-20:00 UTC"),
        ("wed,mon,tue,wed 08:00-20:00", "mon-wed 08:00-20:00 UTC"),
        ("mon-sun 08:00-20:00", "08:00-20:00 UTC"),
        ("sun-sun 08:00-20:00", "sun 08:00-20:00 UTC"),
    ],
)
def test_a_window_is_written_in_one_way_and_read_back(text: str, written: str) -> None:
    window = Window.parse(text)
    assert str(window) == written
    assert Window.parse(written, "Asia/Tokyo") == window


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is no window"),
        ("22-05", "'22' is no time of day"),
        ("22:00", "is no window"),
        ("25:00-05:00", "'25:00' is no time of day"),
        ("24:01-05:00", "'24:01' is no time of day"),
        ("22:60-05:00", "'22:60' is no time of day"),
        ("٢٢:00-05:00", "is no window"),
        ("05:00-05:00", "closes as it opens"),
        ("00:00-00:00", "closes as it opens"),
        ("24:00-05:00", "opens at 24:00"),
        ("mon-xxx 22:00-05:00", "'xxx' is no day of the week"),
        ("mon-tue-wed 22:00-05:00", "is no day of the week"),
        ("22:00-05:00 Mars/Olympus", "'Mars/Olympus' is no time zone"),
        ("22:00-05:00 Europe", "'Europe' is no time zone"),
        ("22:00-05:00 ../etc/passwd", "is no time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is_wrong_and_an_example(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="; give") as refused:
        Window.parse(text)
    assert says in str(refused.value)


def test_the_zone_is_the_one_that_is_named_or_else_the_given_one() -> None:
    assert Window.parse("22:00-05:00", "Europe/London").zone == "Europe/London"
    assert Window.parse("22:00-05:00 Asia/Tokyo", "Europe/London").zone == "Asia/Tokyo"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "now", "until", "opening"),
    [
        # The clocks of London: forward on 29 March 2026 at 01:00Z, back on 25 October 2026 at 01:00Z.
        ("22:00-05:00", "2026-03-28T21:59Z", None, "2026-03-28T22:00Z"),
        ("22:00-05:00", "2026-03-28T22:00Z", "2026-03-29T04:00Z", None),
        ("22:00-05:00", "2026-10-25T04:59Z", "2026-10-25T05:00Z", None),
        ("22:00-05:00", "2026-10-25T05:00Z", None, "2026-10-25T22:00Z"),
        ("01:30-03:00", "2026-03-29T00:59Z", None, "2026-03-29T01:00Z"),  # 01:30 is left out: it opens at the jump
        ("00:00-01:30", "2026-03-29T00:59Z", "2026-03-29T01:00Z", None),  # and closes there
        ("01:15-01:45", "2026-03-29T00:00Z", None, "2026-03-30T00:15Z"),  # nothing of it is there that day
        ("01:30-03:00", "2026-10-25T00:00Z", None, "2026-10-25T00:30Z"),  # it opens the first time that it is 01:30
        ("01:30-03:00", "2026-10-25T01:10Z", "2026-10-25T03:00Z", None),  # and stays open through the second 01:10
        ("23:00-01:30", "2026-10-25T00:29Z", "2026-10-25T00:30Z", None),  # it closes the first time that it is 01:30
        ("23:00-01:30", "2026-10-25T01:10Z", None, "2026-10-25T23:00Z"),  # and not a second time
        ("01:10-01:50", "2026-10-25T01:20Z", None, "2026-10-26T01:10Z"),  # it opens once a day
        ("fri 22:00-05:00", "2026-11-28T03:00Z", "2026-11-28T05:00Z", None),  # the weekday is that of its opening
        ("fri 22:00-05:00", "2026-11-27T03:00Z", None, "2026-11-27T22:00Z"),
    ],
)
def test_a_window_keeps_to_the_clock_on_the_wall(text: str, now: str, until: str | None, opening: str | None) -> None:
    windows = (Window.parse(text, "Europe/London"),)
    assert open_until(windows, at(now)) == (None if until is None else at(until))
    if opening is not None:
        assert next_opening(windows, at(now)) == at(opening)


def test_windows_that_meet_or_overlap_are_one() -> None:
    windows = tuple(Window.parse(text) for text in ("12:00-14:00", "08:00-10:00", "10:00-11:00", "13:00-15:00"))
    assert open_until(windows, at("2026-11-23T08:30Z")) == at("2026-11-23T11:00Z")
    assert open_until(windows, at("2026-11-23T12:30Z")) == at("2026-11-23T15:00Z")
    assert next_opening(windows, at("2026-11-23T11:00Z")) == at("2026-11-23T12:00Z")
    assert next_opening(windows, at("2026-11-23T15:00Z")) == at("2026-11-24T08:00Z")


def test_a_window_of_whole_days_is_always_open() -> None:
    now = at("2026-11-23T08:30Z")
    until = open_until((Window.parse("00:00-24:00", "Europe/London"),), now)
    assert until is not None
    assert until > now + timedelta(days=7)


# The oracle: the clock on the wall, looked at every few minutes.


@cache
def looks(zone: str, day: date) -> list[tuple[datetime, datetime]]:
    """What a zone's clock shows from four days before a day until a fortnight after it: (moment, shown)."""
    first = datetime.combine(day, time(), UTC) - timedelta(days=4)
    moments = [first + number * LOOK for number in range(timedelta(days=18) // LOOK)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in moments]


def open_moments(window: Window, day: date) -> set[datetime]:
    """When a window is open: once for each of its days, from when the wall shows its opening time or a later one."""
    found: set[datetime] = set()
    seen = looks(window.zone, day)
    for number in range(-6, 16):
        opening_day = day + timedelta(days=number)
        if opening_day.weekday() not in window.weekdays:
            continue
        opens = datetime.combine(opening_day, time()) + timedelta(seconds=window.opens)
        closes = datetime.combine(opening_day, time()) + timedelta(seconds=window.closes)
        opened = False
        for moment, wall in seen:
            opened = opened or wall >= opens
            if opened and wall >= closes:
                break
            if opened:
                found.add(moment)
    return found


@st.composite
def spots(draw: st.DrawFn) -> tuple[Window, date, datetime]:
    """A window, a day on which its zone's clock may be set, and a moment near it."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    opens = draw(st.integers(0, 95)) * 15
    length = draw(st.integers(1, 96)) * 15
    weekdays = draw(st.sets(st.integers(0, 6), min_size=1))
    window = Window(opens=opens * 60, closes=(opens + length) * 60, zone=zone, weekdays=tuple(sorted(weekdays)))
    day = draw(st.sampled_from(CHANGES[zone]))
    return window, day, datetime.combine(day, time(12), UTC) + draw(st.integers(-36 * 12, 36 * 12)) * LOOK


@given(spots(), st.lists(st.integers(0, 23), max_size=2))
@settings(deadline=None)
def test_windows_are_open_just_when_the_clock_on_the_wall_says_so(
    spot: tuple[Window, date, datetime], hours: list[int]
) -> None:
    window, day, now = spot
    windows = (window, *(Window(opens=hour * 3600, closes=hour * 3600 + 5400, zone="UTC") for hour in hours))
    is_open = {moment for each in windows for moment in open_moments(each, day)}
    until = open_until(windows, now)
    assert (until is not None) == (now in is_open)
    if until is None:
        assert next_opening(windows, now) == min(moment for moment in is_open if moment > now)
    else:
        later = [moment for moment, _ in looks("UTC", day) if moment > now]
        assert until == min((moment for moment in later if moment not in is_open), default=until)
        assert until > now


@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_when_a_clock_first_shows_a_time_is_found_to_the_second(zone: str) -> None:
    for day in CHANGES[zone]:
        seen = looks(zone, day)
        for quarter in range(0, 3 * 96, 3):
            wall = datetime.combine(day, time()) + (quarter - 96) * timedelta(minutes=15)
            assert first_showing(wall, find_zone(zone)) == min(moment for moment, shown in seen if shown >= wall)
