"""Steering on both databases, without any worker: what is stopped commits nothing more, what is retried is frozen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from jobs.database import Database
from jobs.errors import Conflict, NotFound
from jobs.model import JobState, Outcome
from jobs.services import Administration
from jobs.steering import Steering
from jobs.store import chunk_rows
from tests.installation import eventually
from tests.interruptions import Holder, Sleeper, sessions_that_wait
from tests.small import (
    ARCHIVED,
    AT_NORTH,
    archived,
    chunks_of,
    dump,
    fill_small_system,
    job_of,
    ranges_of,
    set_job,
    submit,
    work,
)
from tests.steering import (
    ENDED,
    FAR,
    NOTHING,
    RETRY,
    UNFINISHED,
    claim,
    dispatched,
    housekeeping,
    outcomes,
    put,
    runner,
    state,
    steering,
)

# Pause, resume and cancel, with nobody at work.


@pytest.mark.parametrize("before", UNFINISHED)
def test_a_job_that_may_go_on_is_paused_resumed_and_paused_again(small: Database, job: int, before: str) -> None:
    put(small, job, before)
    for _ in range(2):
        steering(small).pause(job)
        assert state(small, job) == "paused"
        steering(small).resume(job)
        assert state(small, job) == "queued"


@pytest.mark.parametrize("before", [*UNFINISHED, "pausing", "paused", "cancelling", "awaiting_approval"])
def test_a_job_that_has_not_ended_can_be_cancelled(small: Database, job: int, before: str) -> None:
    put(small, job, before)
    steering(small).cancel(job)
    ended = job_of(small, job)
    assert (ended.state, ended.state_reason) == (JobState.CANCELLED, None)
    assert ended.finished_at is not None


@pytest.mark.parametrize(
    ("order", "before", "after"),
    [
        (Steering.pause, "pausing", "paused"),
        (Steering.pause, "paused", "paused"),
        (Steering.cancel, "cancelled", "cancelled"),
        (Steering.resume, "queued", "queued"),
        (Steering.resume, "running", "running"),
    ],
)
def test_an_order_that_is_carried_out_already_changes_nothing(
    small: Database, job: int, order: Callable[[Steering, int], None], before: str, after: str
) -> None:
    put(small, job, before)
    order(steering(small), job)
    order(steering(small), job)
    assert state(small, job) == after


@pytest.mark.parametrize(
    ("order", "word", "before"),
    [
        *((Steering.pause, "paused", state) for state in (*ENDED, "cancelling", "awaiting_approval")),
        *((Steering.cancel, "cancelled", state) for state in ENDED if state != "cancelled"),
        *((Steering.resume, "resumed", state) for state in (*ENDED, "pausing", "cancelling", "awaiting_approval")),
    ],
)
def test_an_order_that_no_edge_allows_is_a_conflict_that_names_the_state(
    small: Database, job: int, order: Callable[[Steering, int], None], word: str, before: str
) -> None:
    put(small, job, before)
    with pytest.raises(Conflict, match=f"job {job} is {before} and cannot be {word};"):
        order(steering(small), job)
    assert state(small, job) == before


def test_the_same_order_from_four_sides_at_once_is_carried_out_and_no_conflict(
    small: Database, job: int, database_url: str
) -> None:
    databases = [Database(database_url) for _ in range(4)]
    for order, after in ((Steering.pause, "paused"), (Steering.resume, "queued"), (Steering.cancel, "cancelled")):
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda own, order=order: order(steering(own), job), databases):
                pass
        assert state(small, job) == after
    for own in databases:
        own.close()


def test_a_job_that_was_to_begin_later_still_does_after_it_was_paused_and_resumed(small: Database) -> None:
    job = submit(small, not_before=FAR)
    held = job_of(small, job)
    steering(small).pause(job)
    assert dispatched(small) == []
    steering(small).resume(job)
    assert (job_of(small, job).state, job_of(small, job).state_reason) == (held.state, held.state_reason)
    assert held.state is JobState.HOLDING
    assert dispatched(small) == []

    set_job(small, job, not_before=held.created_at)
    housekeeping(small)
    assert state(small, job) == "queued"


# Nothing commits any more.


def test_a_paused_job_is_neither_dispatched_nor_claimed_and_goes_on_when_it_is_resumed(
    small: Database, job: int
) -> None:
    first, second, third = dispatched(small)
    assert runner(small).run(first)
    steering(small).pause(job)
    before = dump(small)
    assert dispatched(small) == []
    assert [runner(small).run(chunk) for chunk in (second, third)] == [False, False]
    after = dump(small)
    assert {table: rows for table, rows in after.items() if table != "chunks"} == {
        table: rows for table, rows in before.items() if table != "chunks"
    }
    assert [chunk["state"] for chunk in chunks_of(small)] == ["done", "dispatched", "dispatched"]

    steering(small).resume(job)
    assert dispatched(small) == [second, third], "their messages were dropped and must be sent again at once"
    assert all(runner(small).run(chunk) for chunk in (second, third))
    assert (state(small, job), archived(small, job)) == ("succeeded", ARCHIVED)


@pytest.mark.parametrize(
    ("order", "after", "left"),
    [(Steering.pause, "paused", [(0, 5)]), (Steering.cancel, "cancelled", [])],
)
def test_a_chunk_claimed_before_a_stop_and_run_after_it_leaves_nothing(
    small: Database,
    database_url: str,
    order: Callable[[Steering, int], None],
    after: str,
    left: list[tuple[int, int]],
) -> None:
    job = submit(small, chunk_size=6)
    (chunk,) = dispatched(small)
    seen: list[dict[str, object]] = []

    def stop() -> None:
        order(steering(small), job)
        assert state(small, job) == after
        seen.append(dict(dump(small)))

    sleeper = Sleeper(database_url, stop)
    assert not runner(sleeper).run(chunk)
    sleeper.close()
    assert seen == [dump(small)]
    assert (archived(small, job), ranges_of(small), state(small, job)) == (NOTHING, left, after)


@pytest.mark.parametrize(("order", "after"), [(Steering.pause, "paused"), (Steering.cancel, "cancelled")])
def test_a_stop_is_reported_only_once_the_chunk_that_is_about_to_commit_has_done_so(
    small: Database, job: int, database_url: str, order: Callable[[Steering, int], None], after: str
) -> None:
    _, second, _ = dispatched(small)
    holder = Holder(database_url)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(runner(holder).run, second)
        holder.wait_until_inside()
        stopping = pool.submit(order, steering(small), job)  # on SQLite it waits for the chunk
        assert state(small, job) != after
        holder.let_go.set()
        assert running.result()
        stopping.result()
    holder.close()
    order(steering(small), job)
    assert state(small, job) == after
    assert archived(small, job)["attempts"] == [1, 2, 3, 4], "the users of the second chunk, and of no other"
    assert outcomes(small, job)[AT_NORTH[0]] is None


def test_a_claim_that_commits_while_its_job_is_cancelled_leaves_no_chunk_behind(
    postgres: Database, postgres_database_url: str
) -> None:
    fill_small_system(postgres)
    job = submit(postgres, chunk_size=2)
    first, second, _ = dispatched(postgres)
    assert runner(postgres).run(first)
    holder = Holder(postgres_database_url, held="READ COMMITTED")
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(runner(holder).run, second)
        holder.wait_until_inside()
        cancelling = pool.submit(steering(postgres).cancel, job)  # waits for the claimed row
        eventually(lambda: sessions_that_wait(postgres))
        holder.let_go.set()
        assert not running.result()
        cancelling.result()
    holder.close()
    assert state(postgres, job) == "cancelled"
    assert [chunk["state"] for chunk in chunks_of(postgres, job)] == ["done"]


@pytest.mark.parametrize(
    ("order", "meanwhile", "after"),
    [(Steering.pause, "pausing", "paused"), (Steering.cancel, "cancelling", "cancelled")],
)
def test_a_chunk_whose_transaction_holds_its_row_keeps_the_job_from_its_stop_until_it_commits(
    postgres: Database, order: Callable[[Steering, int], None], meanwhile: str, after: str
) -> None:
    fill_small_system(postgres)
    job = submit(postgres, chunk_size=2)
    idle, held = (claim(postgres, chunk) for chunk in dispatched(postgres)[:2])
    with postgres.write("REPEATABLE READ") as connection:
        assert chunk_rows.lock_if_fence_holds(connection, held)
        for _ in range(2):
            order(steering(postgres), job)
            assert state(postgres, job) == meanwhile
        assert chunk_rows.finish_if_fence_holds(connection, held, AT_NORTH[2:4], {}, {})
    order(steering(postgres), job)
    assert state(postgres, job) == after
    with postgres.write("REPEATABLE READ") as connection:
        assert not chunk_rows.lock_if_fence_holds(connection, idle)
    done = dict.fromkeys(AT_NORTH[2:4], Outcome.UNCHANGED)
    assert outcomes(postgres, job) == dict.fromkeys(AT_NORTH) | done


def test_a_job_paused_while_its_last_chunk_commits_ends_when_it_is_resumed(
    small: Database, job: int, database_url: str
) -> None:
    *others, last = dispatched(small)
    for chunk in others:
        assert runner(small).run(chunk)
    holder = Holder(database_url)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(runner(holder).run, last)
        holder.wait_until_inside()
        pausing = pool.submit(steering(small).pause, job)
        if small.dialect == "postgresql":
            pausing.result()
            assert state(small, job) == "pausing"
        holder.let_go.set()
        assert running.result()
        with suppress(Conflict):  # on SQLite the chunk may come first, and with it the job's end
            pausing.result()
    holder.close()
    if small.dialect == "postgresql":
        assert state(small, job) == "paused"
    if state(small, job) == "paused":
        steering(small).resume(job)
    assert (state(small, job), archived(small, job)) == ("succeeded", ARCHIVED)


def test_a_job_all_of_whose_chunks_are_done_ends_when_it_is_resumed(small: Database, job: int) -> None:
    work(small)
    put(small, job, "paused")
    steering(small).resume(job)
    ended = job_of(small, job)
    assert (ended.state, ended.state_reason) == (JobState.SUCCEEDED, None)
    assert ended.finished_at is not None


def test_a_cancelled_job_keeps_what_is_done_and_reports_the_rest_as_not_reached(small: Database, job: int) -> None:
    _, second, third = dispatched(small)
    assert runner(small).run(second)
    claim(small, third)
    steering(small).cancel(job)
    assert outcomes(small, job) == dict.fromkeys(AT_NORTH) | {11: Outcome.CHANGED, 12: Outcome.CHANGED}
    assert ranges_of(small) == [(2, 3)]
    assert archived(small, job) == ARCHIVED
    totals = Administration(small, "root").status(job).totals
    assert (totals.changed, totals.unchanged, totals.failed, totals.chunks_in_flight) == (2, 0, 0, 0)
    assert dispatched(small) == []


# Who may.

ORDERS = [
    pytest.param(Steering.pause, id="pause"),
    pytest.param(Steering.resume, id="resume"),
    pytest.param(Steering.cancel, id="cancel"),
    pytest.param(lambda s, job: s.set_pace(job, max_rate=1, priority=None), id="set"),
    pytest.param(lambda s, job: s.retry(job, RETRY), id="retry"),
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("login", ["south.admin", "ada"])
def test_a_job_does_not_exist_for_administrators_of_other_locations_nor_for_other_learners(
    small: Database, job: int, login: str, order: Callable[[Steering, int], object]
) -> None:
    before = job_of(small, job)
    with pytest.raises(NotFound, match=f"no job has the id {job};"):
        order(steering(small, login), job)
    assert job_of(small, job) == before


@pytest.mark.parametrize("number", [0, -1, 999, 2**70])
def test_a_job_that_is_not_there_cannot_be_steered(small: Database, number: int) -> None:
    with pytest.raises(NotFound):
        steering(small).pause(number)


def test_administrators_of_the_location_steer_its_jobs_whoever_submitted_them(small: Database, job: int) -> None:
    steering(small, "north.admin").pause(job)
    assert state(small, job) == "paused"


def test_a_learner_steers_its_own_job_and_no_other(small: Database) -> None:
    own = Administration(small, "boris").reset_own_in_progress().id
    steering(small, "boris").pause(own)
    assert state(small, own) == "paused"
    with pytest.raises(NotFound):
        steering(small, "ada").resume(own)
    steering(small, "boris").resume(own)
    work(small)
    assert state(small, own) == "succeeded"
