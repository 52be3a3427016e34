"""How words on the command line become values."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from commands.words import Ids, Moment, MomentOrAge, Users, flatten, split_users


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7", (7,)),
        ("7,8, 9 ", (7, 8, 9)),
        ("9,7,9", (9, 7, 9)),
        ("9223372036854775808", (2**63,)),
        ("007", (7,)),
    ],
)
def test_ids_are_whole_numbers_parted_by_commas(text: str, ids: tuple[int, ...]) -> None:
    assert Ids().convert(text, None, None) == ids


@pytest.mark.parametrize("word", ["x", "-1", "+1", "1.0", "1_000", "٣", "²", "", "1 2", "9" * 1001])
def test_what_is_no_whole_number_is_no_id(word: str) -> None:
    with pytest.raises(click.BadParameter, match="an id is a whole number"):
        Ids().convert(word, None, None)


def test_all_the_words_that_are_no_ids_are_named() -> None:
    with pytest.raises(click.BadParameter, match="'x', '3y'"):
        Ids().convert("1,x,2,3y", None, None)


def test_users_are_ids_or_logins() -> None:
    words = Users().convert("42, ada ,007,b-7,٣", None, None)
    assert words == ("42", "ada", "007", "b-7", "٣")
    assert split_users(words) == ((42, 7), ("ada", "b-7", "٣"))


@pytest.mark.parametrize("text", ["", " ", "ada,", ",ada", "ada,,boris"])
def test_nobody_between_two_commas_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="names nobody"):
        Users().convert(text, None, None)


TIMES = [
    ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
    ("2026-01-31T22:00Z", datetime(2026, 1, 31, 22, tzinfo=UTC)),
    ("2026-01-31T22:00:01.25Z", datetime(2026, 1, 31, 22, 0, 1, 250_000, tzinfo=UTC)),
    ("2026-01-31T01:30+05:30", datetime(2026, 1, 30, 20, tzinfo=UTC)),
    ("2026-01-31T22:00-08:00", datetime(2026, 2, 1, 6, tzinfo=UTC)),
    ("2026-01-31 22:00+00:00", datetime(2026, 1, 31, 22, tzinfo=UTC)),
]
NO_TIMES = [
    "",
    "yesterday",
    "2026-02-30",
    "2025-02-29",
    "2026-13-01",
    "2026-01-31T22:00",
    "2026-01-31T25:00Z",
    "0001-01-01T00:00+14:00",
    "9999-12-31T23:59-01:00",
    "٢٠٢٦-01-31",
    "2026-01",
]


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_a_time_has_its_zone_and_a_date_is_midnight_utc(text: str, moment: datetime) -> None:
    for kind in (Moment(), MomentOrAge()):
        value = kind.convert(text, None, None)
        assert value == moment
        assert isinstance(value, datetime)
        assert value.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_or_has_no_zone_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="2026-01-31T22:00Z"):
        Moment().convert(text, None, None)
    with pytest.raises(click.BadParameter, match="365d"):
        MomentOrAge().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(hours=1, minutes=30)),
        ("12h", timedelta(hours=12)),
        ("365d", timedelta(days=365)),
        ("2w", timedelta(days=14)),
        ("0d", timedelta(0)),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, age: timedelta) -> None:
    assert MomentOrAge().convert(text, None, None) == age


@pytest.mark.parametrize("text", ["1y", "d", "-5d", "1.5d", "5 d", "5D", "5d ", "٣d", "1d12h"])
def test_other_ages_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="12h"):
        MomentOrAge().convert(text, None, None)


@pytest.mark.parametrize("digits", [10, 30, 400, 5000])
def test_an_age_beyond_the_calendar_is_refused(digits: int) -> None:
    with pytest.raises(click.BadParameter, match=r"than the calendar reaches|is no date and no age"):
        MomentOrAge().convert("9" * digits + "w", None, None)


def test_values_that_are_read_already_stay_as_they_are() -> None:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    assert Ids().convert((1, 2), None, None) == (1, 2)
    assert Users().convert(("ada",), None, None) == ("ada",)
    assert Moment().convert(moment, None, None) is moment
    assert MomentOrAge().convert(timedelta(days=1), None, None) == timedelta(days=1)


def test_a_repeated_option_is_one_list() -> None:
    assert flatten(((1, 2), (), (3,))) == (1, 2, 3)
