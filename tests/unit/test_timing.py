"""The times of a schedule, compared with a walk through every minute of UTC."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import InputRefused
from jobs.timing import Cron, Due, Every, Once, Timing, age_text, due_times, parse_age
from tests.walk import MINUTE, walk

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Rule = Callable[[datetime], bool]

ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Dublin",  # its standard time is in summer
    "America/New_York",
    "America/Havana",  # skips and repeats the hour at midnight
    "America/Santiago",  # the south: autumn in April
    "America/Scoresbysund",  # moved to another zone in 2024
    "Africa/Casablanca",  # puts its clock back for Ramadan
    "Africa/Cairo",  # skips the hour after midnight
    "Asia/Kathmandu",  # a quarter of an hour
    "Asia/Gaza",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Pacific/Chatham",
    "Antarctica/Troll",  # two hours of daylight saving
)


def is_last_of_month(day: datetime) -> bool:
    return (day + DAY).day == 1


RULES: dict[str, Rule] = {
    "0 2 1 * *": lambda t: (t.day, t.hour, t.minute) == (1, 2, 0),
    "30 1 * * *": lambda t: (t.hour, t.minute) == (1, 30),
    "30 2 * * SUN": lambda t: (t.isoweekday(), t.hour, t.minute) == (7, 2, 30),
    "15 0 * * *": lambda t: (t.hour, t.minute) == (0, 15),
    "0 * * * *": lambda t: t.minute == 0,
    "* * * * *": lambda t: t.second == 0,
    "*/20 0-4 * MAR,APR,SEP-NOV *": lambda t: t.minute % 20 == 0 and t.hour <= 4 and t.month in (3, 4, 9, 10, 11),
    "59 23 L * *": lambda t: (t.hour, t.minute) == (23, 59) and is_last_of_month(t),
    "0 3 * * 7#2": lambda t: (t.isoweekday(), t.hour, t.minute) == (7, 3, 0) and 8 <= t.day <= 14,
    "0 3 * * 7L": lambda t: (t.isoweekday(), t.hour, t.minute) == (7, 3, 0) and (t + 7 * DAY).month != t.month,
    # Two days that are both given: either will do; but both must fit where one begins with a star.
    "0 3 13 * FRI": lambda t: (t.hour, t.minute) == (3, 0) and (t.day == 13 or t.isoweekday() == 5),
    "0 3 */2 * FRI": lambda t: (t.hour, t.minute) == (3, 0) and t.day % 2 == 1 and t.isoweekday() == 5,
    "0 0 29 2 *": lambda t: (t.month, t.day, t.hour, t.minute) == (2, 29, 0, 0),
}


def changes(zone: str) -> Iterator[datetime]:
    """Midnight UTC before each change of a zone's clock, 2024 to 2030."""
    at, day = ZoneInfo(zone), datetime(2024, 1, 1, tzinfo=UTC)
    while day.year < 2031:
        if day.astimezone(at).utcoffset() != (day + DAY).astimezone(at).utcoffset():
            yield day
        day += DAY


def computed(timing: Timing, begin: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda time: time < end, timing.after(begin)))


def assert_as_walked(zone: str, begin: datetime, end: datetime) -> None:
    minutes = list(walk(zone, begin, end))
    for expression, rule in RULES.items():
        wanted = [moment for moment, reached in minutes if any(rule(time) for time in reached)]
        assert computed(Cron(expression, zone), begin, end) == wanted, expression


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_change_of_the_clock_each_time_comes_once(zone: str) -> None:
    for day in list(changes(zone)) or [datetime(2024, 2, 29, tzinfo=UTC)]:
        assert_as_walked(zone, day - DAY / 8, day + DAY * 9 / 8)


def test_over_months_each_time_comes_once() -> None:
    assert_as_walked("Europe/London", datetime(2024, 1, 31, 12, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))


def test_a_skipped_time_runs_when_the_clock_goes_on_and_a_repeated_one_the_first_time() -> None:
    nightly = Cron("30 1 * * *", "Europe/London")
    spring = datetime(2026, 3, 29, tzinfo=UTC)  # 01:00 becomes 02:00
    assert computed(nightly, spring, spring + 2 * DAY) == [
        spring + timedelta(hours=1),
        spring + timedelta(hours=24, minutes=30),
    ]
    autumn = datetime(2026, 10, 25, tzinfo=UTC)  # 02:00 becomes 01:00
    assert computed(nightly, autumn, autumn + 2 * DAY) == [
        autumn + timedelta(minutes=30),
        autumn + timedelta(hours=25, minutes=30),
    ]


@given(
    st.sampled_from(sorted(RULES)),
    st.sampled_from(ZONES),
    st.integers(0, 7 * 365 * 86400).map(lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
)
def test_the_times_after_a_time_are_those_after_it_in_the_list(expression: str, zone: str, begin: datetime) -> None:
    cron = Cron(expression, zone)
    first, second, third = islice(cron.after(begin), 3)
    assert begin < first < second < third
    assert next(cron.after(first)) == second
    assert next(cron.after(first - timedelta(microseconds=1))) == first
    assert next(cron.after(second)) == third


@given(st.integers(1, 10**7), st.integers(0, 10**9))
def test_an_interval_counts_elapsed_time_from_its_beginning(seconds: int, later: int) -> None:
    every = Every(timedelta(seconds=seconds), NOW)
    moment = NOW + timedelta(seconds=later)
    time = next(every.after(moment))
    assert moment < time <= moment + every.interval
    assert (time - NOW) % every.interval == timedelta(0)
    assert next(every.after(time)) == time + every.interval


def test_an_interval_first_runs_when_it_is_over() -> None:
    assert next(Every(timedelta(hours=6), NOW).after(NOW - 100 * DAY)) == NOW + timedelta(hours=6)


def test_one_time_comes_once() -> None:
    once = Once(NOW)
    assert list(once.after(NOW - MINUTE)) == [NOW]
    assert list(once.after(NOW)) == []


@pytest.mark.parametrize(
    ("timing", "says"),
    [
        (Cron("0 0 30 2 *"), "0 0 30 2 *"),
        (Cron("0 0 31 4,6,9,11 *"), "0 0 31 4,6,9,11 *"),
        (Cron("* * */20 * 1L"), "never comes"),
        (Cron("60 * * * *"), "60"),
        (Cron("0 2 1 *"), "five fields"),
        (Cron("0 0 2 1 * *"), "five fields"),
        (Cron("@daily"), "five fields"),
        (Cron(""), "five fields"),
        (Cron("0 0 * * " + "9" * 5000), "five fields"),
        (Cron("0 0 * * " + "9" * 400), "no cron expression"),
        (Cron("0 0 * * ²L"), "no cron expression"),
        (Cron("0 0 L/2,L/x * *"), "no cron expression"),
        (Cron("0 0 1 * *", "Europe/Lundon"), "Europe/Lundon"),
        (Cron("0 0 1 * *", "Europe"), "'Europe'"),
        (Cron("0 0 1 * *", "../../etc/passwd"), "passwd"),
        (Cron("0 0 1 * *", "\0"), "zone"),
        (Cron("0 0 1 * *", ""), "zone"),
        (Every(timedelta(0), NOW), "--every 0d"),
        (Every(timedelta(days=10**9 - 1), NOW), "beyond the calendar"),
        (Once(NOW), "2026-03-01T00:00:00Z"),
    ],
)
def test_what_never_comes_or_cannot_be_read_is_refused_with_its_words(timing: Timing, says: str) -> None:
    with pytest.raises(InputRefused) as refused:
        timing.check(NOW)
    assert says in refused.value.message
    assert "; " in refused.value.message


@pytest.mark.parametrize("expression", RULES)
def test_what_comes_is_taken(expression: str) -> None:
    Cron(expression, "Europe/London").check(NOW)


def test_what_has_come_is_counted_up_to_now() -> None:
    hourly = Cron("0 * * * *")
    hours = [NOW + n * timedelta(hours=1) for n in range(10)]
    assert due_times(hourly, NOW, NOW, 100) == Due(count=1, first=NOW, before_last=None, last=NOW, next=hours[1])
    assert due_times(hourly, NOW, hours[7] + MINUTE, 100) == Due(
        count=8, first=NOW, before_last=hours[6], last=hours[7], next=hours[8]
    )
    assert due_times(hourly, NOW, hours[7] + MINUTE, 3) == Due(
        count=3, first=NOW, before_last=hours[1], last=hours[2], next=hours[3]
    )
    assert due_times(Once(NOW), NOW, NOW + DAY, 100).next is None


@pytest.mark.parametrize("text", ["0s", "1s", "90s", "15m", "6h", "365d", "36h"])
def test_a_length_of_time_is_written_as_it_is_read(text: str) -> None:
    age = parse_age(text)
    assert age is not None
    assert parse_age(age_text(age)) == age
    assert age_text(age) == {"90s": "90s", "0s": "0d"}.get(text, text)


@pytest.mark.parametrize("text", ["", "6", "h", "-1h", "6 h", "1.5h", "6H", "٣h", "P1D"])
def test_what_is_no_length_of_time_is_none(text: str) -> None:
    assert parse_age(text) is None
