"""The pace under load: gentle steps down while strain lasts, up while it stays away, none while it flickers."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.settings import Settings
from jobs.strain import FULL_PACE, Pace, Reading, next_pace, sign_of_strain

LIMITS = Settings(strain_worsens_seconds=3, strain_calm_seconds=10, chunk_seconds=0.5)
BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAST = [(500, 0.5)] * 8


def levels(signs: Iterable[bool], pace: Pace | None = None) -> list[int]:
    """The pace after each reading, one a second."""
    pace, found = pace or Pace(since=BEGAN), []
    for second, sign in enumerate(signs, 1):
        pace = next_pace(pace, "strain" if sign else None, BEGAN + timedelta(seconds=second), LIMITS)
        found.append(pace.level)
    return found


def steps(found: list[int]) -> list[tuple[int, int]]:
    """(level, seconds) of each stretch."""
    return [(level, len(list(same))) for level, same in groupby(found)]


def test_a_healthy_database_shows_no_strain() -> None:
    assert sign_of_strain(Reading(), Settings()) is None
    assert sign_of_strain(Reading(active_sessions=20, chunks=[(FAST, FAST)]), Settings()) is None
    assert levels([False] * 60) == [FULL_PACE] * 60


@pytest.mark.parametrize(
    ("reading", "sign"),
    [
        (Reading(lock_waits=2), None),
        (Reading(lock_waits=3), "sessions that wait for a lock: 3"),
        (Reading(active_sessions=99), None),
        (Reading(active_sessions=100), "sessions at work: 100"),
        (Reading(lag_seconds=29.9), None),
        (Reading(lag_seconds=31), "a replica is 31 s behind"),
        (Reading(chunks=[([(500, 2.5)] * 3, FAST)]), "chunks take 5.0 times as long as before"),
        (Reading(chunks=[([(500, 1.9)] * 3, FAST)]), None),  # not four times
        (Reading(chunks=[([(500, 2.5)] * 2, FAST)]), None),  # too few to tell
        (Reading(chunks=[([(500, 2.5)] * 3, FAST[:7])]), None),
        (Reading(chunks=[([(500, 0.5)] * 3 + [(500, 60.0)], FAST)]), None),  # one that froze is no strain
        (Reading(chunks=[([(5, 0.4)] * 9, [(5, 0.01)] * 9)]), None),  # small ones are no burden, however much they vary
        (
            Reading(chunks=[(FAST, FAST), ([(9, 3.0)] * 4, [(9, 0.5)] * 9)]),
            "chunks take 6.0 times as long as before",
        ),
    ],
)
def test_what_reaches_a_limit_is_a_sign_of_strain(reading: Reading, sign: str | None) -> None:
    assert sign_of_strain(reading, LIMITS) == sign


def test_lasting_strain_slows_down_step_by_step_until_all_holds() -> None:
    # One reading tells that it began, three seconds later the first step is taken.
    assert steps(levels([True] * 30)) == [(4, 3), (3, 3), (2, 3), (1, 3), (0, 18)]


def test_lasting_calm_lets_a_held_job_go_on_step_by_step_to_the_full_pace() -> None:
    held = Pace(level=0, sign="strain", strained=True, since=BEGAN)
    assert steps(levels([False] * 60, held)) == [(0, 10), (1, 10), (2, 10), (3, 10), (4, 20)]


def test_the_window_is_halved_at_each_step_and_never_empty_for_what_is_urgent() -> None:
    windows = {level: Pace(level=level, since=BEGAN).window(16) for level in range(FULL_PACE + 1)}
    assert windows == {4: 16, 3: 8, 2: 4, 1: 2, 0: 2}
    assert Pace(level=1, since=BEGAN).window(1) == 1


def test_the_sign_is_kept_until_the_pace_is_full_again() -> None:
    pace = Pace(level=3, sign="sessions at work: 100", since=BEGAN)
    calm = next_pace(pace, None, BEGAN + timedelta(seconds=9), LIMITS)
    assert calm == pace
    assert next_pace(calm, None, BEGAN + timedelta(seconds=10), LIMITS).sign is None


@pytest.mark.parametrize("period", [1, 2, 3])
def test_strain_that_comes_and_goes_changes_nothing(period: int) -> None:
    flicker = [second // period % 2 == 0 for second in range(120)]
    assert set(levels(flicker)) == {FULL_PACE}
    assert set(levels(flicker, Pace(level=0, sign="strain", strained=True, since=BEGAN))) == {0}


@given(st.lists(st.booleans(), max_size=300))
def test_the_pace_moves_by_single_steps_and_no_faster_than_strain_and_calm_allow(signs: list[bool]) -> None:
    found = levels(signs)
    moves = [(second, after - before) for second, (before, after) in enumerate(pairwise([FULL_PACE, *found]), 1)]
    moves = [(second, move) for second, move in moves if move]
    assert all(abs(move) == 1 for _, move in moves)
    for second, move in moves:
        lasting = 3 if move < 0 else 10
        assert set(signs[second - 1 - lasting : second]) == {move < 0}, "it moves only after that much of the same"


def run_against(strains: Callable[[int], bool], seconds: int) -> list[int]:
    """Readings that follow from the pace itself, as when a job's own work is the strain."""
    pace, found = Pace(since=BEGAN), []
    for second in range(1, seconds + 1):
        sign = "own work" if strains(pace.level) else None
        pace = next_pace(pace, sign, BEGAN + timedelta(seconds=second), LIMITS)
        found.append(pace.level)
    return found


@pytest.mark.parametrize("bearable", range(1, FULL_PACE))
def test_a_job_whose_own_work_is_the_strain_goes_on_at_a_bearable_pace_and_never_holds(bearable: int) -> None:
    found = run_against(lambda level: level > bearable, 600)
    assert set(found[60:]) == {bearable, bearable + 1}
    assert 0 not in found


def test_a_job_that_strains_at_any_pace_holds_but_not_for_ever() -> None:
    found = run_against(lambda level: level > 0, 600)
    stretches = steps(found)[5:-1]
    assert {level for level, _ in stretches} == {0, 1}
    assert max(seconds for level, seconds in stretches if level == 0) <= 11
    assert min(seconds for level, seconds in stretches if level == 1) >= 3
