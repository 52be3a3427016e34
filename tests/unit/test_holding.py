"""What makes a job wait, in which order it is said, and when a job that may run has to stop."""

from datetime import UTC, date, datetime, timedelta

import pytest

from jobs.blackout import Blackout, parse_days
from jobs.holding import Surroundings, closing_of, hold_of, seconds_needed
from jobs.scope import JobOptions
from jobs.windows import Window

NOW = datetime(2026, 12, 24, 12, tzinfo=UTC)
NIGHT = Window.parse("22:00-05:00")
HOUR = timedelta(hours=1)


def wishes(**options: object) -> JobOptions:
    return JobOptions(**{"reason": "a new year"} | options)  # type: ignore[arg-type]


def blackout(days: str = "2026-12-20..2027-01-05", location: int | None = None, zone: str = "UTC") -> Blackout:
    first, last = parse_days(days)
    return Blackout(
        id=1, first_day=first, last_day=last, zone=zone, location_id=location, reason="exams", actor_login="root"
    )


def around(*blackouts: Blackout, now: datetime = NOW) -> Surroundings:
    return Surroundings(now=now, blackouts=blackouts)


def reason(options: JobOptions, surroundings: Surroundings, location: int | None = 4) -> str | None:
    hold = hold_of(options, location, surroundings)
    return None if hold is None else hold.reason


def test_a_job_that_asks_for_nothing_does_not_wait_and_need_not_stop() -> None:
    assert hold_of(wishes(), 4, around()) is None
    assert closing_of(wishes(), 4, around()) is None


def test_a_job_waits_for_its_time_until_then() -> None:
    late = wishes(not_before=NOW + HOUR)
    hold = hold_of(late, 4, around())
    assert hold is not None
    assert (hold.reason, hold.until) == ("not before 2026-12-24T13:00:00Z", NOW + HOUR)
    assert hold_of(late, 4, around(now=NOW + HOUR)) is None


def test_outside_of_every_window_a_job_waits_for_the_next() -> None:
    day = Window.parse("thu 14:00-15:00")
    hold = hold_of(wishes(windows=(NIGHT, day)), 4, around())
    assert hold is not None
    assert hold.reason == "outside its windows 22:00-05:00 UTC, thu 14:00-15:00 UTC; opens 2026-12-24T14:00:00Z"
    assert hold.until == NOW + 2 * HOUR
    assert closing_of(wishes(windows=(NIGHT, day)), 4, around(now=hold.until)) == NOW + 3 * HOUR


def test_a_blackout_holds_from_its_first_midnight_to_its_last_and_says_what_for() -> None:
    exams = blackout(zone="Europe/Athens")  # two hours ahead of UTC
    begins, ends = datetime(2026, 12, 19, 22, tzinfo=UTC), datetime(2027, 1, 5, 22, tzinfo=UTC)
    said = "blackout 2026-12-20..2027-01-05 Europe/Athens (exams); ends 2027-01-05T22:00:00Z"
    moment = timedelta(microseconds=1)
    assert reason(wishes(), around(exams, now=begins - moment)) is None
    assert closing_of(wishes(), 4, around(exams, now=begins - moment)) == begins
    assert reason(wishes(), around(exams, now=begins)) == said
    assert reason(wishes(), around(exams, now=ends - moment)) == said
    assert reason(wishes(), around(exams, now=ends)) is None
    assert closing_of(wishes(), 4, around(exams, now=ends)) is None


@pytest.mark.parametrize(
    ("of_blackout", "of_job", "holds"),
    [(None, 4, True), (None, None, True), (4, 4, True), (4, 5, False), (4, None, True)],
)
def test_a_job_waits_for_the_blackouts_of_whatever_it_touches(
    of_blackout: int | None, of_job: int | None, *, holds: bool
) -> None:
    found = blackout(location=of_blackout)
    assert (reason(wishes(), around(found), of_job) is not None) == holds
    before = around(found, now=NOW - timedelta(days=30))
    assert (closing_of(wishes(), of_job, before) == found.begins) == holds


def test_what_is_urgent_waits_for_its_own_wishes_and_for_no_blackout() -> None:
    exams = blackout()
    assert reason(wishes(urgent=True), around(exams)) is None
    assert closing_of(wishes(urgent=True), 4, around(exams, now=exams.begins - HOUR)) is None
    assert reason(wishes(urgent=True, windows=(NIGHT,)), around(exams)) == (
        "outside its window 22:00-05:00 UTC; opens 2026-12-24T22:00:00Z"
    )
    assert reason(wishes(urgent=True, not_before=NOW + HOUR), around(exams)) == "not before 2026-12-24T13:00:00Z"


def test_of_several_blackouts_the_one_that_ends_last_is_named() -> None:
    short, long = blackout("2026-12-24", location=4), blackout()
    assert reason(wishes(), around(short, long)) == (
        "blackout 2026-12-20..2027-01-05 UTC (exams); ends 2027-01-06T00:00:00Z"
    )
    assert reason(wishes(), around(short)) == "blackout 2026-12-24 UTC at location 4 (exams); ends 2026-12-25T00:00:00Z"


def test_whatever_comes_first_ends_what_runs() -> None:
    night = around(blackout("2026-12-25"), now=NOW + 11 * HOUR)
    assert closing_of(wishes(windows=(NIGHT,)), 4, night) == datetime(2026, 12, 25, tzinfo=UTC)
    assert closing_of(wishes(windows=(NIGHT,), urgent=True), 4, night) == datetime(2026, 12, 25, 5, tzinfo=UTC)


def test_a_chunk_begins_only_while_there_is_time_for_two() -> None:
    assert seconds_needed(0.5) == 1.0


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2026-12-20..2027-01-05", (date(2026, 12, 20), date(2027, 1, 5))),
        (" 2028-02-29 ", (date(2028, 2, 29), date(2028, 2, 29))),
        ("2026-12-20..2026-12-20", (date(2026, 12, 20), date(2026, 12, 20))),
    ],
)
def test_days_are_one_or_the_first_and_the_last(text: str, days: tuple[date, date]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "are no days"),
        ("2026-02-29", "are no days"),
        ("2026-12-20..", "are no days"),
        ("2026-12-20-2027-01-05", "are no days"),
        ("٢٠٢٦-12-20", "are no days"),
        ("0001-01-01", "are no days"),
        ("9999-12-31", "are no days"),
        ("2027-01-05..2026-12-20", "give 2026-12-20..2027-01-05"),
    ],
)
def test_what_are_no_days_is_refused_with_an_example(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="2026-12-20") as refused:
        parse_days(text)
    assert says in str(refused.value)
