"""How large the next chunk is, and who gets the free places: decided without a clock or a database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.chunking import Allotment, Candidate, Limits, fill_window, next_size, rest_seconds

LIMITS = Limits(start=200, largest=5000, seconds=0.5)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLICE_SECONDS = 2.0
"""A job with a rate may be ahead of it by what it may do in so many seconds, or by one user."""


def candidate(job_id: int, **values: object) -> Candidate:
    return Candidate(**{"job_id": job_id, "priority": 1, "in_flight": 0, "remaining": 1000, "size": 100} | values)  # type: ignore[arg-type]


def jobs_of(allotments: list[Allotment]) -> list[int]:
    return [allotment.job_id for allotment in allotments]


# The size of the next chunk.


@pytest.mark.parametrize(
    ("recent", "size"),
    [
        ([], 200),
        ([(200, 0.5)], 200),
        ([(200, 0.4)], 250),
        ([(200, 0.25)], 400),
        ([(200, 0.01)], 400),
        ([(200, 1.0)], 100),
        ([(200, 30.0)], 100),
        ([(400, 0.5), (200, 0.25)], 400),
        ([(400, 1.5), (200, 0.25), (200, 0.25)], 200),
        ([(1000, 0.25), (500, 0.125)], 2000),
        ([(4000, 0.1)], 5000),
        ([(1, 20.0)], 1),
        ([(3, 20.0)], 2),
        ([(1000, None)], 500),
        ([(1000, None), (1000, 0.1)], 500),
        ([(500, 0.1), (1000, None), (1000, 0.2)], 1000),
        ([(9000, None)], 4500),
        ([(1, None)], 1),
    ],
)
def test_the_next_chunk_takes_half_a_second_at_the_speed_so_far(
    recent: list[tuple[int, float | None]], size: int
) -> None:
    assert next_size(recent, LIMITS) == size


@pytest.mark.parametrize(("users_per_second", "settled"), [(30, 15), (400, 200), (3000, 1500), (100_000, 5000)])
def test_the_size_settles_at_what_the_database_does_in_half_a_second(users_per_second: int, settled: int) -> None:
    recent: list[tuple[int, float]] = []
    for _ in range(30):
        size = next_size(recent, LIMITS)
        recent = [(size, size / users_per_second), *recent][:8]
    assert next_size(recent, LIMITS) == pytest.approx(settled, abs=1)


RECORDED = [(200, 0.066), (200, 0.093), (200, 0.063), (200, 0.055), (200, 0.056), (200, 0.054), (400, 0.061),
    (400, 0.106), (400, 0.053), (400, 0.065), (800, 0.171), (800, 0.134), (800, 0.176), (800, 0.183)]  # fmt: skip
"""Chunks from the beginning of a job on PostgreSQL, in order."""


def test_a_recorded_job_is_led_to_half_a_second_and_stays_about_there() -> None:
    speeds = [users / seconds for users, seconds in RECORDED]
    sizes = sizes_of_a_job([lambda size, speed=speed: size / speed for speed in speeds + speeds[-4:] * 5])
    assert sizes[0] == LIMITS.start
    assert all(1500 <= size <= 3500 for size in sizes[12:]), sizes


def test_a_step_is_taken_from_the_newest_chunk_even_while_it_is_in_flight() -> None:
    assert next_size([(200, 0.02)], LIMITS, newest=800) == 1600
    assert next_size([(200, 0.1)], LIMITS, newest=800) == 1000
    assert next_size([(200, 5.0)], LIMITS, newest=800) == 400
    assert next_size([(200, None)], LIMITS, newest=800) == 100


def sizes_of_a_job(chunks: list[Callable[[int], float | None]]) -> list[int]:
    """Size one chunk after the other; each says how long its size took, or that it timed out."""
    recent: list[tuple[int, float | None]] = []
    sizes = []
    for seconds_of in chunks:
        sizes.append(next_size(recent, LIMITS))
        recent = [(sizes[-1], seconds_of(sizes[-1])), *recent][:8]
    return [*sizes, next_size(recent, LIMITS)]


def steady(size: int) -> float:
    return size / 2000


def test_one_chunk_that_was_held_up_for_half_a_minute_is_forgotten_soon() -> None:
    sizes = sizes_of_a_job([steady] * 20 + [lambda _: 30.0] + [steady] * 20)
    assert sizes[20] == 1000
    assert min(sizes[21:]) >= 1
    assert all(size == pytest.approx(1000, rel=0.01) for size in sizes[-5:])


def test_a_database_that_is_fast_and_slow_by_turns_is_met_in_the_middle() -> None:
    by_turns = [lambda size: size / 500, lambda size: size / 8000] * 20
    sizes = sizes_of_a_job(by_turns)[16:]
    assert all(300 <= size <= 1900 for size in sizes), sizes


def test_a_job_whose_chunks_time_out_halves_them_to_single_users_and_grows_again_when_they_do_not() -> None:
    sizes = sizes_of_a_job([steady] * 10 + [lambda _: None] * 12 + [steady] * 20)
    settled, timed_out, after = sizes[10], sizes[10:23], sizes[23:]
    for before, now in pairwise(timed_out):
        assert now == max(1, round(before / 2))
    assert timed_out[-1] == 1
    assert after[-1] == pytest.approx(settled, rel=0.01)


durations = st.one_of(
    st.none(), st.floats(0, 1e9, allow_nan=False), st.sampled_from([0.0, -1.0, 1e-300, 1e300]), st.floats(0.1, 2)
)


@given(st.lists(durations, max_size=60), st.integers(1, 5000))
def test_whatever_the_chunks_take_the_size_moves_by_bounded_steps_within_its_bounds(
    seconds: list[float | None], start: int
) -> None:
    limits = Limits(start=start, largest=5000, seconds=0.5)
    recent: list[tuple[int, float | None]] = []
    sizes = [next_size(recent, limits)]
    for second in seconds:
        recent = [(sizes[-1], second), *recent][:8]
        sizes.append(next_size(recent, limits))
    assert sizes[0] == start
    assert all(1 <= size <= 5000 for size in sizes)
    for before, after in pairwise(sizes):
        assert before / 2 - 0.5 <= after <= before * 2


@pytest.mark.parametrize(
    ("recent", "size"),
    [
        ([], 200),
        ([(3000, 0.5)], 300),
        ([(3000, 0.5), (1000, 0.5)], 200),
        ([(300, 0.05)], 300),
        ([(300, 0.01)], 600),
        ([(200, 0.5)], 20),
        ([(100, 2.0)], 20),
        ([(10, 2.0)], 5),
        ([(8, 30.0)], 4),
        ([(1, 30.0)], 1),
        ([(1000, None)], 500),
    ],
)
def test_a_gentle_chunk_takes_a_tenth_of_the_time_at_once_but_is_no_smaller_than_it_makes_sense(
    recent: list[tuple[int, float | None]], size: int
) -> None:
    assert next_size(recent, LIMITS, gently=True) == size


@given(st.lists(st.tuples(st.integers(1, 5000), durations), max_size=8), st.integers(1, 5000))
def test_a_gentle_chunk_is_never_larger_than_another(recent: list[tuple[int, float | None]], newest: int) -> None:
    assert 1 <= next_size(recent, LIMITS, newest=newest, gently=True) <= next_size(recent, LIMITS, newest=newest)


@pytest.mark.parametrize(
    ("took", "share", "rest"), [(0.1, 0.05, 1.9), (0.3, 0.5, 0.3), (0.4, 1, 0), (0.5, 0.05, 5), (40, 0.05, 5)]
)
def test_a_process_works_for_its_share_of_the_time_and_rests_for_the_others_but_never_for_longer_than_five_seconds(
    took: float, share: float, rest: float
) -> None:
    assert rest_seconds(took, share) == pytest.approx(rest)


# The places of the window.


def test_nobody_gets_a_place_when_none_is_free() -> None:
    assert fill_window(0, [candidate(1)], NOW) == []


def test_a_job_alone_gets_every_place_until_its_users_are_all_in_chunks() -> None:
    allotments = fill_window(16, [candidate(1, remaining=250)], NOW)
    assert [allotment.size for allotment in allotments] == [100, 100, 50]


def test_the_higher_priority_goes_first_and_what_is_left_goes_to_the_lower() -> None:
    low, high = candidate(1, priority=0), candidate(2, priority=2, remaining=300)
    assert jobs_of(fill_window(5, [low, high], NOW)) == [2, 2, 2, 1, 1]


def test_a_small_job_behind_a_huge_one_gets_the_next_free_place() -> None:
    huge, small = candidate(1, in_flight=15, remaining=1_000_000), candidate(2, remaining=10)
    assert jobs_of(fill_window(1, [huge, small], NOW)) == [2]


def test_equal_jobs_share_the_window_equally_and_the_oldest_gets_the_odd_place() -> None:
    allotted = jobs_of(fill_window(7, [candidate(2), candidate(1), candidate(3)], NOW))
    assert [allotted.count(job) for job in (1, 2, 3)] == [3, 2, 2]


def test_a_job_whose_rate_does_not_allow_it_yet_leaves_its_place_to_others() -> None:
    waiting = candidate(1, priority=2, max_rate=50, not_before=NOW + timedelta(milliseconds=1))
    assert jobs_of(fill_window(2, [waiting, candidate(2)], NOW)) == [2, 2]


def test_a_chunk_that_waits_for_a_message_does_not_wait_for_its_job_s_rate_which_has_counted_it() -> None:
    soon = NOW + timedelta(minutes=1)
    job = candidate(1, max_rate=50, not_before=soon, unsent=1)
    assert fill_window(2, [job], NOW) == [Allotment(job_id=1, size=0, next_dispatch_at=soon)]


@given(
    free=st.integers(0, 30),
    jobs=st.lists(
        st.builds(
            dict,
            priority=st.integers(0, 2),
            in_flight=st.integers(0, 20),
            remaining=st.integers(0, 500),
            unsent=st.integers(0, 5),
            size=st.integers(1, 200),
        ),
        max_size=6,
    ),
)
def test_places_are_never_overfilled_nor_left_empty_and_nobody_is_passed_over(
    free: int, jobs: list[dict[str, int]]
) -> None:
    allotments = fill_window(free, [candidate(number, **job) for number, job in enumerate(jobs)], NOW)
    remaining = {number: job["remaining"] for number, job in enumerate(jobs)}
    in_flight = {number: job["in_flight"] for number, job in enumerate(jobs)}
    unsent = {number: job["unsent"] for number, job in enumerate(jobs)}
    for allotment in allotments:
        ready = [number for number in remaining if remaining[number] > 0 or unsent[number] > 0]
        best = max(jobs[number]["priority"] for number in ready)
        fair = min(in_flight[number] for number in ready if jobs[number]["priority"] == best)
        assert jobs[allotment.job_id]["priority"] == best
        assert in_flight[allotment.job_id] == fair
        if unsent[allotment.job_id]:
            assert allotment.size == 0, "what was dispatched before goes first"
            unsent[allotment.job_id] -= 1
        else:
            assert allotment.size == min(jobs[allotment.job_id]["size"], remaining[allotment.job_id])
        remaining[allotment.job_id] -= allotment.size
        in_flight[allotment.job_id] += 1
    assert len(allotments) == free or not any((*remaining.values(), *unsent.values()))


# The rate of a job.


def dispatch_over_time(rate: float, size: int, waits: list[float], free: int) -> list[tuple[float, int]]:
    """Fill a window again and again, after each of these waits; give (seconds, users) of each dispatch."""
    dispatched: list[tuple[float, int]] = []
    not_before, seconds = None, 0.0
    for wait in waits:
        seconds += wait
        job = candidate(1, max_rate=rate, size=size, remaining=10**9, not_before=not_before)
        for allotment in fill_window(free, [job], NOW + timedelta(seconds=seconds)):
            dispatched.append((seconds, allotment.size))
            not_before = allotment.next_dispatch_at
    return dispatched


@given(
    rate=st.floats(0.05, 2000),
    size=st.integers(1, 5000),
    waits=st.lists(st.floats(0, 5) | st.just(100.0) | st.just(0.0), max_size=40),
    free=st.integers(1, 16),
)
def test_over_any_stretch_of_time_a_job_keeps_to_its_rate_but_for_one_slice(
    rate: float, size: int, waits: list[float], free: int
) -> None:
    dispatched = dispatch_over_time(rate, size, waits, free)
    for first, (begin, _) in enumerate(dispatched):
        users = 0
        for end, more in dispatched[first:]:
            users += more
            # A microsecond for each dispatch is what a clock in microseconds may round away.
            allowed = rate * (end - begin + 1e-6 * len(dispatched)) + max(1.0, SLICE_SECONDS * rate)
            assert users <= allowed + 1e-6


@pytest.mark.parametrize("rate", [0.5, 1, 7, 40, 1000])
def test_a_job_that_is_looked_at_every_second_reaches_its_rate(rate: float) -> None:
    dispatched = dispatch_over_time(rate, 200, [1.0] * 200, 16)
    assert sum(users for _, users in dispatched) == pytest.approx(rate * 200, rel=0.05)


def test_a_job_without_a_rate_is_never_made_to_wait() -> None:
    assert all(allotment.next_dispatch_at is None for allotment in fill_window(16, [candidate(1)], NOW))
