"""Totals, speed and what is left: unknown is told as unknown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobs.model import Job, JobState, Kind
from jobs.progress import Totals, eta_seconds, users_per_second

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = Job(
    id=1,
    kind=Kind.TRAINING,
    state=JobState.RUNNING,
    state_reason=None,
    actor_id=1,
    actor_login="root",
    location_id=1,
    reason="a new year",
    parent_id=None,
    cutoff=None,
    priority=1,
    max_rate=None,
    chunk_size=None,
    not_before=None,
    windows=(),
    urgent=False,
    closes_at=None,
    created_at=STARTED - timedelta(hours=1),
    started_at=STARTED,
    finished_at=None,
    users_total=1000,
    next_ordinal=600,
    next_dispatch_at=None,
)
TOTALS = Totals(changed=250, unchanged=140, failed=10)


def after(seconds: float) -> datetime:
    return STARTED + timedelta(seconds=seconds)


def test_done_are_the_users_whose_outcome_is_known_however_it_came_out() -> None:
    assert TOTALS.done == 400
    assert Totals().done == 0


def test_the_speed_counts_from_the_first_claim_and_not_from_the_submission() -> None:
    assert users_per_second(JOB, TOTALS, after(8)) == 50.0


def test_the_speed_of_an_ended_job_stays_what_it_was() -> None:
    ended = replace(JOB, state=JobState.SUCCEEDED, finished_at=after(16))
    assert users_per_second(ended, TOTALS, after(1_000_000)) == 25.0


@pytest.mark.parametrize("seconds", [0, -5])
def test_the_speed_is_nothing_while_no_time_has_passed(seconds: float) -> None:
    assert users_per_second(JOB, TOTALS, after(seconds)) == 0.0


def test_the_rest_is_told_at_the_speed_so_far() -> None:
    assert eta_seconds(JOB, TOTALS, after(8)) == 12


def test_before_the_first_outcome_there_is_no_telling_when_a_job_ends() -> None:
    queued = replace(JOB, state=JobState.QUEUED, started_at=None)
    assert users_per_second(queued, Totals(), after(8)) == 0.0
    assert eta_seconds(queued, Totals(), after(8)) is None
    assert eta_seconds(JOB, Totals(), after(8)) is None


@pytest.mark.parametrize("state", ["succeeded", "completed_with_failures", "failed", "cancelled", "rejected"])
def test_an_ended_job_has_nothing_left_to_wait_for(state: str) -> None:
    ended = replace(JOB, state=JobState(state), finished_at=after(16))
    assert eta_seconds(ended, TOTALS, after(20)) == 0
