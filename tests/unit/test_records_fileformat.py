"""Every kind of value, both ways: what a column takes, what it refuses, and its one canonical text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.records import tables
from jobs.records.fileformat import COLUMN_FORMATS, ColumnFormat, Value, shorten


def column(table: str, name: str) -> ColumnFormat:
    formats = {table.name: columns for table, columns in COLUMN_FORMATS.items()}
    return next(column for column in formats[table] if column.name == name)


ID = column("users", "id")
NAME = column("users", "name")
ACCESS = column("users", "access")
POSITION = column("course_chapters", "position")
SECONDS = column("chapter_progress", "position_seconds")
STATUS = column("course_progress", "status")
COMPLETED_AT = column("chapter_progress", "completed_at")
STARTED_AT = column("attempts", "started_at")
SCORE = column("attempts", "score")
PASSED = column("attempts", "passed")


def test_every_column_of_every_table_has_a_format_in_the_order_of_the_table() -> None:
    assert {table.name: [c.name for c in columns] for table, columns in COLUMN_FORMATS.items()} == {
        table.name: [c.name for c in table.columns] for table in tables.RECORD_FORMAT
    }


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (ID, "1", 1),
        (ID, "9223372036854775807", 2**63 - 1),
        (ID, "0012", 12),
        (NAME, " spaces stay ", " spaces stay "),
        (NAME, "Žofie 🎓", "Žofie 🎓"),
        (ACCESS, "super_user", "super_user"),
        (STATUS, "not_started", "not_started"),
        (POSITION, "0", 0),
        (SECONDS, "2147483647", 2147483647),
        (SCORE, "62.50", 62.5),
        (SCORE, "-1e2", -100.0),
        (SCORE, "", None),
        (PASSED, "true", True),
        (PASSED, "false", False),
        (PASSED, "", None),
        (COMPLETED_AT, "", None),
        (STARTED_AT, "2026-03-29T02:30:00+02:00", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        (STARTED_AT, "2026-03-29T02:30Z", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
        (STARTED_AT, "2026-03-29T02:30:00.5-0130", datetime(2026, 3, 29, 4, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_right_text_is_parsed(column: ColumnFormat, text: str, value: Value) -> None:
    parsed = column.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (ID, "0"),
        (ID, "-1"),
        (ID, "+1"),
        (ID, " 1"),
        (ID, "1_0"),
        (ID, "1.0"),
        (ID, "\N{ARABIC-INDIC DIGIT ONE}"),
        (ID, "9223372036854775808"),
        (ID, "9" * 5000),
        (ID, ""),
        (NAME, ""),
        (NAME, "a\0b"),
        (NAME, "\udcff"),
        (ACCESS, "Learner"),
        (ACCESS, ""),
        (STATUS, "done"),
        (POSITION, "-1"),
        (SECONDS, "2147483648"),
        (SECONDS, ""),
        (SCORE, "nan"),
        (SCORE, "inf"),
        (SCORE, "1e999"),
        (SCORE, "1_0"),
        (SCORE, "0x10"),
        (SCORE, "62,5"),
        (PASSED, "True"),
        (PASSED, "1"),
        (STARTED_AT, ""),
        (STARTED_AT, "2026-03-29T02:30:00"),
        (STARTED_AT, "2026-03-29"),
        (STARTED_AT, "2026-02-30T00:00:00Z"),
        (STARTED_AT, "2026-03-29 02:30:00Z"),
        (STARTED_AT, "2026-03-29T02:30:00.1234567Z"),
        (STARTED_AT, "0001-01-01T00:00:00+01:00"),
        (STARTED_AT, "yesterday"),
    ],
)
def test_a_wrong_text_is_refused(column: ColumnFormat, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller words the message
        column.parse(text)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (ID, 2**63 - 1, "9223372036854775807"),
        (NAME, "plain text", "plain text"),
        (NAME, 'a,"b"', '"a,""b"""'),
        (NAME, "two\nlines", '"two\nlines"'),
        (NAME, "old\rmac", '"old\rmac"'),
        (SCORE, 60.0, "60"),
        (SCORE, 0.5, "0.5"),
        (SCORE, 0.1 + 0.2, "0.30000000000000004"),
        (SCORE, -0.0, "0"),
        (SCORE, None, ""),
        (PASSED, True, "true"),
        (PASSED, False, "false"),
        (PASSED, None, ""),
        (COMPLETED_AT, None, ""),
        (STARTED_AT, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "2026-03-29T00:30:00Z"),
        (STARTED_AT, datetime(2026, 3, 29, 0, 30, 0, 120_000, tzinfo=UTC), "2026-03-29T00:30:00.12Z"),
        (STARTED_AT, datetime(2026, 3, 29, 0, 30, 0, 1, tzinfo=UTC), "2026-03-29T00:30:00.000001Z"),
        (
            STARTED_AT,
            datetime(2026, 3, 29, 0, 30, tzinfo=timezone(timedelta(hours=2))),
            "2026-03-28T22:30:00Z",
        ),
    ],
)
def test_a_value_has_one_canonical_text(column: ColumnFormat, value: Value, text: str) -> None:
    assert column.render(value) == text


@pytest.mark.parametrize(
    ("column", "value"),
    [(ID, 0), (SECONDS, -1), (NAME, ""), (STATUS, "done"), (SCORE, float("inf")), (PASSED, 1), (ID, "7")],
)
def test_a_value_that_no_file_can_hold_is_not_rendered(column: ColumnFormat, value: Value) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller words the message
        column.render(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_comes_back_from_its_text(number: float) -> None:
    assert SCORE.parse(SCORE.render(number)) == number


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_every_time_comes_back_from_its_text(time: datetime) -> None:
    assert STARTED_AT.parse(STARTED_AT.render(time)) == time


def test_a_long_text_is_shortened_for_messages() -> None:
    assert shorten("x" * 1000) == "x" * 59 + "…"
    assert shorten("x" * 60) == "x" * 60


def test_a_byte_that_was_no_utf8_is_shown_as_an_escape() -> None:
    assert shorten("caf\udce9") == "caf\\udce9"
