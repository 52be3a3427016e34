"""The life of a job: the table of its edges says what the design says, and leaves no state without a way."""

import pytest

from jobs.model import EDGES, JobState, sources_of

ALLOWED = {
    ("awaiting_approval", "queued"),
    ("awaiting_approval", "rejected"),
    ("queued", "running"),
    ("running", "succeeded"),
    ("running", "completed_with_failures"),
    ("running", "failed"),
    ("queued", "holding"),
    ("running", "holding"),
    ("holding", "queued"),
    ("holding", "running"),
    ("queued", "pausing"),
    ("running", "pausing"),
    ("holding", "pausing"),
    ("pausing", "paused"),
    ("paused", "queued"),
    ("awaiting_approval", "cancelling"),
    ("queued", "cancelling"),
    ("running", "cancelling"),
    ("holding", "cancelling"),
    ("pausing", "cancelling"),
    ("paused", "cancelling"),
    ("cancelling", "cancelled"),
    ("cancelling", "failed"),
}
ENDED = {"succeeded", "completed_with_failures", "failed", "cancelled", "rejected"}
FIRST = {"awaiting_approval", "queued", "holding"}
"""The states in which a job is recorded."""


def test_the_allowed_edges_are_those_of_the_design_and_each_is_named_once() -> None:
    pairs = [(edge.before.value, edge.after.value) for edge in EDGES]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == ALLOWED


def test_every_edge_has_a_sentence() -> None:
    for edge in EDGES:
        assert edge.sentence[0].isupper(), edge
        assert edge.sentence.endswith("."), edge
        assert len(edge.sentence.split()) > 2, edge


@pytest.mark.parametrize("state", JobState)
def test_the_ended_states_have_no_way_out_and_every_other_state_has_one(state: JobState) -> None:
    assert state.ended == (state.value in ENDED)
    assert any(edge.before is state for edge in EDGES) != state.ended


def test_every_state_is_reached_from_one_in_which_a_job_is_recorded() -> None:
    reached = set(FIRST)
    while more := {after for before, after in ALLOWED if before in reached} - reached:
        reached |= more
    assert reached == {state.value for state in JobState}


def test_an_end_can_be_reached_from_every_state() -> None:
    ending = set(ENDED)
    while more := {before for before, after in ALLOWED if after in ending} - ending:
        ending |= more
    assert ending == {state.value for state in JobState}


@pytest.mark.parametrize("state", JobState)
def test_the_sources_of_a_state_are_where_its_edges_come_from(state: JobState) -> None:
    assert {source.value for source in sources_of(state)} == {b for b, after in ALLOWED if after == state.value}
