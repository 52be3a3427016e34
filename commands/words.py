"""How words on the command line become values: ids, users, times and ages."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import click

from commands.context import Invocation
from jobs.blackout import parse_days
from jobs.errors import shown
from jobs.timing import parse_age
from jobs.windows import Window
from jobs.zones import find_zone

T = TypeVar("T")

_MOST_DIGITS = 1000  # beyond 64 bits an id is unknown, but it is still named as it was given


class Ids(click.ParamType[tuple[int, ...]]):
    """One id or several with commas; every word that is none is named."""

    name = "ID[,ID…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Give the ids, or fail naming all the words that are no whole numbers."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        wrong = [word for word in words if not _is_id(word)]
        if wrong:
            self.fail(
                f"{', '.join(repr(shown(word)) for word in wrong)}: an id is a whole number from 1 up", param, ctx
            )
        return tuple(int(word) for word in words)


class Users(click.ParamType[tuple[str, ...]]):
    """One user or several with commas: digits are an id, everything else is a login."""

    name = "ID|LOGIN[,…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Give the words, or fail at an empty one."""
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        if not all(words):
            self.fail(f"{value!r} names nobody between two commas", param, ctx)
        return words


class IdOr(click.ParamType[int | str]):
    """One whole number, or one word in its place."""

    name = "number or word"

    def __init__(self, word: str) -> None:
        self._word = word

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Give the number or the word, or fail naming what was given."""
        if isinstance(value, int) or value == self._word:
            return value
        if not _is_id(str(value)):
            self.fail(f"{shown(str(value))!r} is neither one whole number nor {self._word}", param, ctx)
        return int(str(value))


LOCATION = IdOr("all")


class Moment(click.ParamType[datetime]):
    """A time with its zone, or a date, which is midnight UTC."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Give an aware time in UTC."""
        if isinstance(value, datetime):
            return value
        moment = _moment(str(value))
        if moment is None:
            self.fail(f"{value!r} is no time; give 2026-01-31 or 2026-01-31T22:00Z", param, ctx)
        return moment


class WindowWords(click.ParamType[Window]):
    """A time of day, optionally with weekdays before it and a time zone after it."""

    name = "[DAYS ]HH:MM-HH:MM[ ZONE]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        """Give the window, in the zone of the settings where it names none."""
        if isinstance(value, Window):
            return value
        invocation = ctx.find_object(Invocation) if ctx else None
        try:
            return Window.parse(str(value), invocation.settings.timezone if invocation else "UTC")
        except ValueError as error:
            self.fail(f"{error}", param, ctx)


class ZoneName(click.ParamType[str]):
    """The name of a time zone."""

    name = "ZONE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the name, or fail at one that is unknown."""
        try:
            return find_zone(str(value)).key
        except ValueError as error:
            self.fail(f"{error}", param, ctx)


class Days(click.ParamType[tuple[date, date]]):
    """One day, or the first and the last of several."""

    name = "DAY..DAY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, date]:
        """Give the first and the last day."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_days(str(value))
        except ValueError as error:
            self.fail(f"{error}", param, ctx)


class MomentOrAge(click.ParamType[datetime | timedelta]):
    """A date, a time, or an age such as 365d or 12h, counted back from now."""

    name = "DATE|AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """Give an aware time, or the age."""
        if isinstance(value, datetime | timedelta):
            return value
        try:
            age = parse_age(str(value))
        except OverflowError:
            self.fail(f"{value!r} is longer ago than the calendar reaches", param, ctx)
        if age is not None:
            return age
        moment = _moment(str(value))
        if moment is None:
            self.fail(
                f"{value!r} is no date and no age; give 2026-01-31, 2026-01-31T22:00Z, 365d or 12h",
                param,
                ctx,
            )
        return moment


class Age(click.ParamType[timedelta | str]):
    """A length of time such as 6h or 14d; or one word in its place, if there is one."""

    name = "AGE"

    def __init__(self, word: str | None = None) -> None:
        self._word = word

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | str:
        """Give the length of time or the word, or fail naming what was given."""
        if isinstance(value, timedelta) or (self._word is not None and value == self._word):
            return value
        try:
            age = parse_age(str(value))
        except OverflowError:
            self.fail(f"{value!r} is longer than the calendar", param, ctx)
        if age is None:
            self.fail(f"{shown(str(value))!r} is no length of time; give 90s, 15m, 6h, 14d or 2w", param, ctx)
        return age


def _moment(text: str) -> datetime | None:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def split_users(words: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Part the words that name users into ids and logins."""
    ids = tuple(int(word) for word in words if _is_id(word))
    logins = tuple(word for word in words if not _is_id(word))
    return ids, logins


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS


def flatten(groups: tuple[tuple[T, ...], ...]) -> tuple[T, ...]:
    """Join the values of an option that was repeated."""
    return tuple(value for group in groups for value in group)
