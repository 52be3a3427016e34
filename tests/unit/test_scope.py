"""What a request asks for: refusals that need no database, cut-offs, and the one canonical form of its words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import InputRefused
from jobs.model import Kind
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection, canonical_words
from jobs.windows import Window

OPTIONS = JobOptions(reason="a new year")
NIGHT, NOON = Window.parse("22:00-05:00"), Window.parse("mon-fri 12:00-13:00")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def request(**values: Any) -> ResetRequest:  # noqa: ANN401 - any field
    given = {"kind": Kind.TRAINING, "users": UserSelection(ids=(1,)), "content": ContentSelection(courses=(5,))}
    return ResetRequest(**given | values)


@pytest.mark.parametrize(
    "complete",
    [
        request(),
        request(users=UserSelection(logins=("ada",))),
        request(users=UserSelection(all_users=True, excluded_ids=(1,), excluded_logins=("ada",))),
        request(users=UserSelection(), content=ContentSelection(content_roles=(3,))),
        request(content=ContentSelection(all_content=True)),
        request(kind=Kind.IN_PROGRESS, content=ContentSelection(all_chapters=True)),
        request(content=ContentSelection(categories=(1,), chapters=(2,))),
    ],
)
def test_a_request_with_users_and_content_says_enough(complete: ResetRequest) -> None:
    complete.check()


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (request(users=UserSelection()), "no users were given"),
        (request(users=UserSelection(excluded_ids=(1,))), "no users were given"),
        (request(users=UserSelection(all_users=True, ids=(1,))), "leave one of them out"),
        (request(users=UserSelection(all_users=True, logins=("ada",))), "leave one of them out"),
        (request(content=ContentSelection()), "no content was given; choose it with --course"),
        (request(kind=Kind.IN_PROGRESS, content=ContentSelection()), "no content was given; .*--id-type"),
    ],
)
def test_a_request_that_says_too_little_or_contradicts_itself_is_refused(said: ResetRequest, refusal: str) -> None:
    with pytest.raises(InputRefused, match=refusal):
        said.check()


@pytest.mark.parametrize("reason", ["", " ", "\t\n", "\u3000"])
def test_a_blank_reason_is_refused(reason: str) -> None:
    with pytest.raises(InputRefused, match="the reason is blank"):
        JobOptions(reason=reason).check()


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"max_rate": 0.0}, "--max-rate 0 "),
        ({"max_rate": -2.5}, "--max-rate -2.5 "),
        ({"max_rate": float("inf")}, "--max-rate inf "),
        ({"max_rate": float("nan")}, "--max-rate nan "),
        ({"chunk_size": 0}, "--chunk-size 0 "),
        ({"chunk_size": 10_001}, "--chunk-size 10001 "),
        ({"idempotency_key": " "}, "the idempotency key is blank"),
    ],
)
def test_numbers_out_of_range_and_a_blank_key_are_refused_with_their_value(
    values: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(InputRefused, match=refusal):
        JobOptions(reason="a new year", **values).check()


@pytest.mark.parametrize("values", [{"max_rate": 0.01}, {"chunk_size": 1}, {"chunk_size": 10_000}])
def test_numbers_at_the_edge_of_their_range_are_taken(values: dict[str, Any]) -> None:
    JobOptions(reason="a new year", **values).check()


def test_an_age_is_counted_back_from_now_and_a_moment_stays_what_it_is() -> None:
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    assert request(cutoff=timedelta(days=59)).resolve_cutoff(NOW) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert request(cutoff=moment).resolve_cutoff(NOW) == moment
    assert request().resolve_cutoff(NOW) is None


def test_an_age_older_than_the_calendar_is_refused() -> None:
    with pytest.raises(InputRefused, match="an age of 999999 days"):
        request(cutoff=timedelta(days=999_999)).resolve_cutoff(NOW)


ids = st.lists(st.integers(1, 20), min_size=1, max_size=6).map(tuple)
words = st.lists(st.sampled_from(["ada", "boris", "chloë"]), min_size=1, max_size=4).map(tuple)


@given(st.data(), ids, words, ids, words, ids)
def test_the_order_of_words_and_their_repeats_do_not_matter(
    data: st.DataObject,
    users: tuple[int, ...],
    logins: tuple[str, ...],
    excluded: tuple[int, ...],
    excluded_logins: tuple[str, ...],
    content: tuple[int, ...],
) -> None:
    def said(mixed: Any) -> ResetRequest:  # noqa: ANN401 - a function on tuples
        return request(
            users=UserSelection(
                ids=mixed(users),
                logins=mixed(logins),
                excluded_ids=mixed(excluded),
                excluded_logins=mixed(excluded_logins),
            ),
            content=ContentSelection(
                content_roles=mixed(content), categories=mixed(content), courses=mixed(content), chapters=mixed(content)
            ),
        )

    other = said(lambda values: tuple(data.draw(st.permutations(values + values[:2]))))
    assert canonical_words(said(tuple), OPTIONS) == canonical_words(other, OPTIONS)


def test_different_words_differ() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    said = [
        (request(), OPTIONS),
        (request(kind=Kind.IN_PROGRESS), OPTIONS),
        (request(users=UserSelection(ids=(2,))), OPTIONS),
        (request(users=UserSelection(ids=(1, 2))), OPTIONS),
        (request(users=UserSelection(ids=(12,))), OPTIONS),
        (request(users=UserSelection(logins=("1",))), OPTIONS),
        (request(users=UserSelection(ids=(1,), excluded_ids=(2,))), OPTIONS),
        (request(users=UserSelection(ids=(1,), excluded_logins=("2",))), OPTIONS),
        (request(users=UserSelection(all_users=True)), OPTIONS),
        (request(content=ContentSelection(categories=(5,))), OPTIONS),
        (request(content=ContentSelection(chapters=(5,))), OPTIONS),
        (request(content=ContentSelection(content_roles=(5,))), OPTIONS),
        (request(content=ContentSelection(all_content=True)), OPTIONS),
        (request(content=ContentSelection(all_chapters=True)), OPTIONS),
        (request(location=1), OPTIONS),
        (request(location="all"), OPTIONS),
        (request(cutoff=moment), OPTIONS),
        (request(cutoff=moment + timedelta(microseconds=1)), OPTIONS),
        (request(cutoff=timedelta(days=1)), OPTIONS),
        (request(cutoff=timedelta(days=2)), OPTIONS),
        (request(), JobOptions(reason="another reason")),
        (request(), JobOptions(reason="a new year", priority=2)),
        (request(), JobOptions(reason="a new year", max_rate=1.0)),
        (request(), JobOptions(reason="a new year", chunk_size=1)),
        (request(), JobOptions(reason="a new year", not_before=moment)),
        (request(), JobOptions(reason="a new year", windows=(NIGHT,))),
        (request(), JobOptions(reason="a new year", windows=(NIGHT, NOON))),
        (request(), JobOptions(reason="a new year", windows=(Window.parse(f"{NIGHT}", "UTC"), NOON), urgent=True)),
        (request(), JobOptions(reason="a new year", windows=(Window.parse("22:00-05:00", "Europe/London"),))),
        (request(), JobOptions(reason="a new year", urgent=True)),
    ]
    assert len({canonical_words(*pair) for pair in said}) == len(said)


def test_the_same_moment_and_the_same_age_are_the_same_words_however_they_were_written() -> None:
    zoned = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
    utc = datetime(2026, 1, 1, tzinfo=UTC)
    assert canonical_words(request(cutoff=zoned), OPTIONS) == canonical_words(request(cutoff=utc), OPTIONS)
    week, days = request(cutoff=timedelta(weeks=1)), request(cutoff=timedelta(days=7))
    assert canonical_words(week, OPTIONS) == canonical_words(days, OPTIONS)
