"""Chunks on both databases: the fenced claim, the checkpoint, what returns them, and their sums."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from jobs import dispatch
from jobs.database import Database
from jobs.model import Rows
from jobs.settings import Settings
from jobs.store import chunk_rows, lapsed_rows, lease_rows, outcome_rows
from jobs.store.chunk_rows import Claim, Owner
from jobs.store.lapsed_rows import Lapsed
from jobs.store.tables import chunks, workers
from tests.small import Broker, chunks_of, fill_crowd, ranges_of, set_back, set_job, submit

OWNER = Owner(worker_id="worker", process_id=77)
TEN = list(range(1001, 1011))


@pytest.fixture
def chunk(database: Database) -> int:
    """A dispatched chunk with all ten users of a job."""
    fill_crowd(database, 9)
    submit(database, chunk_size=10)
    return dispatched(database)[0]


def dispatched(database: Database) -> list[int]:
    broker = Broker()
    dispatch.fill(database, Settings(window=100), broker)
    return broker.messages


def claim(database: Database, chunk_id: int, owner: Owner = OWNER) -> Claim | None:
    with database.write() as connection:
        return chunk_rows.claim_if_dispatched(connection, chunk_id, owner, 60)


def claimed(database: Database, chunk_id: int) -> Claim:
    held = claim(database, chunk_id)
    assert held is not None
    return held


def beat(database: Database, worker_id: str = "worker") -> None:
    with database.write() as connection:
        lease_rows.renew_worker(connection, worker_id, 30)


def lapsed(database: Database) -> list[Lapsed]:
    with database.read() as connection:
        return lapsed_rows.find_lapsed(connection)


def give_back(database: Database, chunk: Lapsed) -> bool:
    with database.write() as connection:
        return lapsed_rows.return_if_still_claimed(connection, chunk)


# The claim.


def test_a_chunk_is_claimed_only_once_with_its_users_its_owner_and_a_deadline(database: Database, chunk: int) -> None:
    first, second = claim(database, chunk), claim(database, chunk)
    (row,) = chunks_of(database)
    assert first == Claim(
        chunk_id=chunk,
        job_id=row["job_id"],
        first_ordinal=0,
        last_ordinal=9,
        fence=1,
        deadline=row["deadline"],
        begins_job=True,
    )
    assert second is None
    assert (row["state"], row["worker_id"], row["process_id"]) == ("claimed", "worker", 77)
    left = row["deadline"] - row["claimed_at"]
    assert timedelta(seconds=60) <= left < timedelta(seconds=60.1), "the clock is read for one after the other"


def test_of_eight_who_claim_at_once_one_gets_the_chunk(database: Database, chunk: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claim(database, chunk), range(8)))
    assert sum(one is not None for one in claims) == 1


def test_every_claim_and_every_return_gives_a_new_fence(database: Database, chunk: int) -> None:
    fences = []
    for _ in range(3):
        held = claimed(database, chunk)
        fences.append(held.fence)
        assert release(database, held)
        fences.append(chunks_of(database)[0]["fence"])
    assert fences == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("state", ["awaiting_approval", "holding", "pausing", "paused", "cancelling"])
def test_the_message_of_a_job_that_may_not_run_is_dropped(database: Database, chunk: int, state: str) -> None:
    set_job(database, chunks_of(database)[0]["job_id"], state=state)
    assert claim(database, chunk) is None
    assert chunks_of(database)[0]["fence"] == 0


def test_the_message_of_a_chunk_that_is_not_there_is_dropped(database: Database, chunk: int) -> None:
    assert claim(database, chunk + 1) is None


# The checkpoint.


def finish(database: Database, held: Claim) -> bool:
    with database.write() as connection:
        return chunk_rows.finish_if_fence_holds(
            connection,
            held,
            TEN,
            {1001: Rows(attempts_erased=2, chapters_reset=1), 1010: Rows(courses_reset=3)},
            {1004: "the row is cursed"},
        )


def holds(database: Database, held: Claim) -> bool:
    with database.write() as connection:
        return chunk_rows.lock_if_fence_holds(connection, held)


def release(database: Database, held: Claim) -> bool:
    with database.write() as connection:
        return chunk_rows.release_if_fence_holds(connection, held, retries=1)


def test_a_finished_chunk_says_what_became_of_its_users(database: Database, chunk: int) -> None:
    held = claimed(database, chunk)
    assert holds(database, held)
    assert finish(database, held)
    (row,) = chunks_of(database)
    assert (row["state"], row["users_changed"], row["users_unchanged"], row["users_failed"]) == ("done", 2, 7, 1)
    assert (row["attempts_erased"], row["chapters_reset"], row["courses_reset"]) == (2, 1, 3)
    with database.read() as connection:
        (outcomes,) = outcome_rows.read_outcomes(connection, row["job_id"])
    assert (outcomes.first_ordinal, outcomes.last_ordinal) == (0, 9)
    assert outcomes.changed == {0: Rows(attempts_erased=2, chapters_reset=1), 9: Rows(courses_reset=3)}
    assert outcomes.failed == {3: "the row is cursed"}


def test_a_finished_chunk_is_never_claimed_returned_or_finished_again(database: Database, chunk: int) -> None:
    beat(database)
    held = claimed(database, chunk)
    set_back(database, chunks, "deadline")
    (late,) = lapsed(database)
    assert finish(database, held)
    done = chunks_of(database)
    assert claim(database, chunk) is None
    assert not holds(database, held)
    assert not finish(database, held)
    assert not give_back(database, late)
    assert lapsed(database) == []
    assert chunks_of(database) == done


def test_who_lost_the_fence_writes_nothing(database: Database, chunk: int) -> None:
    old = claimed(database, chunk)
    (late,) = lapsed(database)
    assert give_back(database, late)
    new = claimed(database, chunk)
    before = chunks_of(database)
    assert not holds(database, old)
    assert not finish(database, old)
    assert not release(database, old)
    assert chunks_of(database) == before
    assert new.fence > old.fence
    assert holds(database, new)


@pytest.mark.parametrize("state", ["holding", "pausing", "cancelling"])
def test_a_claim_does_not_hold_once_its_job_is_to_stop(database: Database, chunk: int, state: str) -> None:
    held = claimed(database, chunk)
    set_job(database, held.job_id, state=state)
    assert not holds(database, held)


def test_a_released_chunk_waits_for_a_new_message_and_counts_a_retry(database: Database, chunk: int) -> None:
    held = claimed(database, chunk)
    assert release(database, held)
    (row,) = chunks_of(database)
    assert (row["state"], row["retries"], row["losses"]) == ("dispatched", 1, 0)
    assert (row["worker_id"], row["process_id"], row["deadline"], row["published_at"]) == (None, None, None, None)
    assert ranges_of(database) == [(0, 9)]


# What returns.


def test_a_claimed_chunk_within_its_times_does_not_lapse(database: Database, chunk: int) -> None:
    beat(database)
    claimed(database, chunk)
    assert lapsed(database) == []


def test_a_chunk_lapses_with_its_workers_lease_which_is_no_loss(database: Database, chunk: int) -> None:
    beat(database)
    claimed(database, chunk)
    set_back(database, workers, "lease_until")
    (late,) = lapsed(database)
    assert not late.worker_lives
    assert give_back(database, late)
    assert [row["losses"] for row in chunks_of(database)] == [0, 0]


def test_a_chunk_lapses_with_its_deadline_which_is_a_loss_while_its_worker_lives(
    database: Database, chunk: int
) -> None:
    beat(database)
    claimed(database, chunk)
    set_back(database, chunks, "deadline")
    (late,) = lapsed(database)
    assert late.worker_lives
    assert give_back(database, late)
    assert [row["losses"] for row in chunks_of(database)] == [1, 0]


def test_a_chunk_of_a_worker_that_left_lapses_at_once(database: Database, chunk: int) -> None:
    beat(database)
    claimed(database, chunk)
    with database.write() as connection:
        lease_rows.remove_worker(connection, "worker")
    assert [late.chunk_id for late in lapsed(database)] == [chunk]


def test_a_returned_chunk_comes_back_in_halves_that_wait_for_their_messages(database: Database, chunk: int) -> None:
    claimed(database, chunk)
    (late,) = lapsed(database)
    assert give_back(database, late)
    assert not give_back(database, late)
    first, second = chunks_of(database)
    assert ranges_of(database) == [(0, 4), (5, 9)]
    assert (first["state"], first["fence"], first["published_at"]) == ("dispatched", 2, None)
    assert (second["state"], second["fence"], second["published_at"]) == ("dispatched", 0, None)


def test_chunks_that_return_again_and_again_still_hold_every_user_once(database: Database, chunk: int) -> None:
    assert chunk
    for _ in range(6):
        for row in chunks_of(database):
            claimed(database, row["id"])
        for late in lapsed(database):
            assert give_back(database, late)
    assert ranges_of(database) == [(ordinal, ordinal) for ordinal in range(10)]


@pytest.fixture
def postgres(postgres_database_url: str) -> Iterator[Database]:
    """A PostgreSQL database whose statements are given up rather than waited for."""
    database = Database(postgres_database_url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"ALTER DATABASE \"{database.engine.url.database}\" SET lock_timeout = '3s'")
    database.close()
    yield database
    database.close()


def test_a_chunk_whose_transaction_holds_its_row_is_skipped_and_not_waited_for(postgres: Database) -> None:
    fill_crowd(postgres, 9)
    submit(postgres, chunk_size=10)
    held = claimed(postgres, dispatched(postgres)[0])
    (late,) = lapsed(postgres)
    with postgres.write("REPEATABLE READ") as connection:
        assert chunk_rows.lock_if_fence_holds(connection, held)
        assert not give_back(postgres, late)
        assert chunk_rows.finish_if_fence_holds(connection, held, TEN, {}, {})
    assert [row["state"] for row in chunks_of(postgres)] == ["done"]


def test_a_user_is_failed_by_what_it_cost_alone_and_not_by_what_it_cost_in_company(database: Database) -> None:
    fill_crowd(database, 7)
    submit(database, chunk_size=8)
    dispatched(database)
    beat(database)
    for _ in range(6):
        first = chunks_of(database)[0]
        assert first["state"] == "dispatched"
        claimed(database, first["id"])
        set_back(database, chunks, "deadline", id=first["id"])
        (late,) = lapsed(database)
        assert give_back(database, late)
    assert ranges_of(database) == [(0, 0), (1, 1), (2, 3), (4, 7)]
    failed = chunks_of(database)[0]
    assert (failed["state"], failed["losses"], failed["users_failed"]) == ("done", 3, 1)


# The sums.


def test_the_totals_of_a_job_are_the_sums_of_its_chunks_and_of_no_others(database: Database) -> None:
    users = fill_crowd(database, 11)
    other, job = submit(database, chunk_size=12), submit(database, chunk_size=4)
    in_order = [1, *users]
    dispatched(database)
    held = {row["first_ordinal"]: claimed(database, row["id"]) for row in chunks_of(database, job)}
    with database.write() as connection:
        for first, reason in ((0, "cursed"), (4, "lost")):
            changed = {
                in_order[first]: Rows(attempts_erased=5, chapters_reset=2),
                in_order[first + 1]: Rows(attempts_erased=1, chapters_reset=1, courses_reset=1),
            }
            failed = {in_order[first + 3]: reason}
            assert chunk_rows.finish_if_fence_holds(
                connection, held[first], in_order[first : first + 4], changed, failed
            )
    assert release(database, held[8])
    with database.read() as connection:
        totals = outcome_rows.totals_of(connection, [job, other])
    of_job = totals[job]
    assert (of_job.changed, of_job.unchanged, of_job.failed, of_job.done) == (4, 2, 2, 8)
    assert of_job.rows == Rows(attempts_erased=12, chapters_reset=6, courses_reset=2)
    assert (of_job.chunks_done, of_job.chunks_in_flight, of_job.chunks_retried) == (2, 1, 1)
    assert of_job.chunk_size == 4
    assert (totals[other].done, totals[other].chunks_in_flight, totals[other].chunk_size) == (0, 1, 12)


def test_the_latest_chunks_come_first_with_the_seconds_that_they_took(database: Database, chunk: int) -> None:
    held = claimed(database, chunk)
    set_back(database, chunks, "claimed_at")
    assert finish(database, held)
    with database.read() as connection:
        ((users, seconds),) = outcome_rows.recent_chunks(connection, held.job_id)
    assert users == 10
    assert seconds == pytest.approx(3600, abs=60)


def test_a_chunk_that_must_run_again_counts_among_the_latest_without_seconds(database: Database, chunk: int) -> None:
    held = claimed(database, chunk)
    assert release(database, held)
    with database.read() as connection:
        assert outcome_rows.recent_chunks(connection, held.job_id) == [(10, None)]


def test_a_lapsed_chunk_whose_job_has_ended_is_removed(database: Database) -> None:
    fill_crowd(database, 2)
    job = submit(database)
    held = claimed(database, dispatched(database)[0])
    set_back(database, chunks, "deadline", id=held.chunk_id)
    (chunk,) = lapsed(database)
    set_job(database, job, state="cancelled", finished_at=datetime.now(UTC))
    assert give_back(database, chunk)
    assert chunks_of(database) == []


# The messages.


def test_only_messages_that_must_be_lost_are_taken_to_be_sent_again_and_once(database: Database) -> None:
    fill_crowd(database, 9)
    submit(database, chunk_size=4)
    fresh, unpublished, overdue = dispatched(database)
    set_back(database, chunks, "published_at", id=overdue)
    with database.write() as connection:
        chunk_rows.mark_unpublished(connection, [unpublished])
        assert chunk_rows.find_overdue_messages(connection, 30) == [overdue]
        chunk_rows.mark_unpublished(connection, [overdue])
    assert dispatched(database) == [unpublished, overdue]
    assert dispatched(database) == []
    with database.read() as connection:
        assert chunk_rows.find_overdue_messages(connection, 30) == []
    claimed(database, fresh)
    with database.write() as connection:
        chunk_rows.mark_unpublished(connection, [fresh])
        assert connection.execute(select(chunks.c.published_at).where(chunks.c.id == fresh)).scalar_one() is not None
