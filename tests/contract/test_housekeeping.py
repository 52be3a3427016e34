"""Housekeeping on both databases: whatever is lost comes back, and one housekeeper leads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from jobs import dispatch
from jobs.database import Database
from jobs.dispatch import PublishFailed
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.model import JobState
from jobs.services import Administration
from jobs.settings import Settings
from jobs.store import chunk_rows
from jobs.store.chunk_rows import Claim, Owner
from jobs.store.tables import chunks, jobs, leases, workers
from tests.small import (
    ARCHIVED,
    Broker,
    archived,
    chunks_of,
    dump,
    fill_crowd,
    fill_small_system,
    job_of,
    of_users,
    ranges_of,
    set_back,
    set_job,
    submit,
    work,
)

SETTINGS = Settings(window=16)
GONE = 4242
FAR = datetime(2999, 1, 1, tzinfo=UTC)


def keeper(database: Database, broker: Broker, worker_id: str = "worker") -> Housekeeper:
    """A housekeeper of a worker with two processes, of which one is gone."""
    housekeeper = Housekeeper(
        database,
        SETTINGS,
        worker_id,
        broker,
        waiting=lambda: broker.waiting,
        lives=lambda process_id: process_id != GONE,
        kill=broker.killed.append,
        start_courier=broker.start_courier,
    )
    housekeeper.beat()
    return housekeeper


def claim(database: Database, chunk_id: int, worker_id: str, process_id: int) -> Claim:
    with database.write() as connection:
        owner = Owner(worker_id=worker_id, process_id=process_id)
        held = chunk_rows.claim_if_dispatched(connection, chunk_id, owner, SETTINGS.chunk_deadline_seconds)
    assert held is not None
    return held


def submit_ten(database: Database, **options: object) -> int:
    return submit(database, of_users(fill_crowd(database, 10)), **{"chunk_size": 10} | options)


def dispatched(database: Database) -> list[int]:
    broker = Broker()
    dispatch.fill(database, SETTINGS, broker)
    return broker.messages


def states(database: Database) -> list[str]:
    return [chunk["state"] for chunk in chunks_of(database)]


def losses(database: Database) -> list[int]:
    return [chunk["losses"] for chunk in chunks_of(database)]


# Chunks that come back.


def test_a_dead_process_s_chunk_returns_at_once_halved_and_counts_a_loss(database: Database) -> None:
    submit_ten(database)
    broker = Broker()
    housekeeper = keeper(database, broker)
    claim(database, dispatched(database)[0], "worker", GONE)
    housekeeper.round()
    assert states(database) == ["dispatched", "dispatched"]
    assert ranges_of(database) == [(0, 4), (5, 9)]
    assert losses(database) == [1, 0]
    assert broker.messages == [chunk["id"] for chunk in chunks_of(database)]


def test_a_dead_process_s_chunk_returns_although_another_housekeeper_leads(database: Database) -> None:
    submit_ten(database)
    keeper(database, Broker(), "leader").round()
    claim(database, chunks_of(database)[0]["id"], "worker", GONE)
    broker = Broker()
    keeper(database, broker).round()
    assert states(database) == ["dispatched", "dispatched"]
    assert broker.messages == []


def test_a_living_process_keeps_its_chunk(database: Database) -> None:
    submit_ten(database)
    housekeeper = keeper(database, Broker())
    claim(database, dispatched(database)[0], "worker", GONE + 1)
    housekeeper.round()
    assert (states(database), losses(database)) == (["claimed"], [0])


def test_a_process_of_another_worker_is_left_to_that_worker_s_housekeeper(database: Database) -> None:
    submit_ten(database)
    keeper(database, Broker(), "another")
    housekeeper = keeper(database, Broker())
    claim(database, dispatched(database)[0], "another", GONE)
    housekeeper.round()
    assert states(database) == ["claimed"]


def test_the_chunk_of_a_worker_whose_lease_lapsed_returns_halved_without_a_loss(database: Database) -> None:
    submit_ten(database)
    keeper(database, Broker(), "dead")
    claim(database, dispatched(database)[0], "dead", 1)
    set_back(database, workers, "lease_until", id="dead")
    broker = Broker()
    keeper(database, broker).round()
    assert ranges_of(database) == [(0, 4), (5, 9)]
    assert losses(database) == [0, 0]
    assert sorted(broker.messages) == sorted(chunk["id"] for chunk in chunks_of(database))


def test_the_chunk_of_a_worker_that_leaves_in_order_returns_without_waiting_for_the_lease(database: Database) -> None:
    submit_ten(database)
    leaving = keeper(database, Broker(), "leaving")
    claim(database, dispatched(database)[0], "leaving", 1)
    leaving.leave()
    keeper(database, Broker()).round()
    assert (states(database), losses(database)) == (["dispatched", "dispatched"], [0, 0])


def test_a_chunk_past_its_deadline_returns_with_a_loss_although_its_worker_lives(database: Database) -> None:
    submit_ten(database)
    keeper(database, Broker(), "slow")
    claim(database, dispatched(database)[0], "slow", 1)
    set_back(database, chunks, "deadline")
    keeper(database, Broker()).round()
    assert (ranges_of(database), losses(database)) == ([(0, 4), (5, 9)], [1, 0])


# Messages that are sent again.


def test_unpublished_and_overdue_chunks_are_published_again_and_fresh_ones_are_not(database: Database) -> None:
    submit_ten(database, chunk_size=4)
    fresh, unpublished, overdue = dispatched(database)
    set_back(database, chunks, "published_at", id=overdue)
    with database.write() as connection:
        chunk_rows.mark_unpublished(connection, [unpublished])
    broker = Broker()
    housekeeper = keeper(database, broker)
    housekeeper.round()
    assert broker.take() == [unpublished, overdue]
    housekeeper.round()
    assert broker.take() == []
    assert fresh not in broker.messages


def test_what_a_broker_that_is_down_did_not_take_is_published_when_it_is_back(database: Database) -> None:
    job = submit_ten(database, chunk_size=4)
    broker = Broker()
    broker.takes = 0
    housekeeper = keeper(database, broker)
    for _ in range(3):
        with pytest.raises(PublishFailed):
            housekeeper.round()
    assert (broker.messages, job_of(database, job).state) == ([], JobState.QUEUED)
    broker.takes = None
    housekeeper.round()
    assert broker.messages == [chunk["id"] for chunk in chunks_of(database)]


def test_a_broker_that_is_down_keeps_no_chunk_from_returning_and_no_job_from_ending(database: Database) -> None:
    job = submit_ten(database)
    work(database)
    set_job(database, job, state="running", finished_at=None)
    submit(database, of_users([1001]))
    claim(database, dispatched(database)[0], "dead", 1)
    broker = Broker()
    broker.takes = 0
    with pytest.raises(PublishFailed):
        keeper(database, broker).round()
    assert states(database) == ["done", "dispatched"]
    assert job_of(database, job).state is JobState.SUCCEEDED


# Jobs that move on.


def test_a_job_whose_last_worker_died_before_it_could_end_it_is_ended(database: Database) -> None:
    fill_small_system(database)
    job = submit(database)
    (chunk,) = dispatched(database)
    ChunkRunner(database, "worker", SETTINGS).run(chunk)
    set_job(database, job, state="running", finished_at=None)
    keeper(database, Broker()).round()
    assert job_of(database, job).state is JobState.SUCCEEDED
    assert job_of(database, job).finished_at is not None


def test_a_job_with_users_left_is_not_ended(database: Database) -> None:
    job = submit_ten(database, chunk_size=4)
    first, *_ = dispatched(database)
    ChunkRunner(database, "worker", SETTINGS).run(first)
    keeper(database, Broker()).round()
    assert job_of(database, job).state is JobState.RUNNING


def test_a_holding_job_is_released_and_dispatched_when_its_time_comes(database: Database) -> None:
    job = submit_ten(database, not_before=FAR)
    broker = Broker()
    housekeeper = keeper(database, broker)
    housekeeper.round()
    assert (job_of(database, job).state, broker.messages) == (JobState.HOLDING, [])

    set_back(database, jobs, "not_before")
    housekeeper.round()
    released = job_of(database, job)
    assert (released.state, released.state_reason) == (JobState.QUEUED, None)
    assert len(broker.messages) == 1


def test_a_round_fills_the_window_without_any_worker_s_help(database: Database) -> None:
    submit_ten(database, chunk_size=4)
    broker = Broker()
    keeper(database, broker).round()
    assert len(broker.messages) == 3


# Who leads.


def leads(housekeeper: Housekeeper, broker: Broker) -> bool:
    """Whether a round of this housekeeper does the work of the leader: filling the window."""
    submit(housekeeper.database, of_users([1001]))
    housekeeper.round()
    return bool(broker.take())


def test_of_two_housekeepers_only_one_leads_and_goes_on_leading(database: Database) -> None:
    fill_crowd(database, 1)
    broker = Broker()
    first, second = keeper(database, broker, "first"), keeper(database, broker, "second")
    assert [leads(first, broker), leads(second, broker)] == [True, False]
    assert [leads(second, broker), leads(first, broker)] == [False, True]


def test_when_the_leader_is_dead_another_leads_after_its_lease(database: Database) -> None:
    fill_crowd(database, 1)
    broker = Broker()
    first, second = keeper(database, broker, "first"), keeper(database, broker, "second")
    assert leads(first, broker)
    set_back(database, leases, "until", name="housekeeping")
    assert leads(second, broker)
    assert not leads(first, broker)


def test_when_the_leader_leaves_another_leads_at_once(database: Database) -> None:
    fill_crowd(database, 1)
    broker = Broker()
    first, second = keeper(database, broker, "first"), keeper(database, broker, "second")
    assert leads(first, broker)
    first.leave()
    assert leads(second, broker)


def test_four_housekeepers_at_once_do_everything_once(database: Database, database_url: str) -> None:
    job = submit(database, of_users(fill_crowd(database, 40)), chunk_size=4)
    broker = Broker()

    def keep(own: Database, name: str) -> None:
        housekeeper = keeper(own, broker, name)
        for _ in range(5):
            housekeeper.round()

    at_once(database_url, keep)
    assert sorted(broker.messages) == sorted(chunk["id"] for chunk in chunks_of(database, job))
    assert len(broker.messages) == 10


def at_once(database_url: str, call: Callable[[Database, str], None]) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, databases, ("a", "b", "c", "d")))
    for own in databases:
        own.close()


def test_a_worker_is_alive_while_it_beats_and_forgotten_long_after(database: Database) -> None:
    fill_crowd(database, 1)
    administration = Administration(database, "root")
    assert not administration.workers_alive()
    keeper(database, Broker(), "dead")
    assert administration.workers_alive()
    set_back(database, workers, "lease_until", id="dead")
    assert not administration.workers_alive()
    keeper(database, Broker()).round()
    assert administration.workers_alive()
    assert [row["id"] for row in dump(database)["workers"]] == ["worker"]


# All at once.


def test_a_job_ends_right_although_every_message_was_lost_and_its_worker_died(database: Database) -> None:
    fill_small_system(database)
    job = submit(database, chunk_size=2)
    first, second, third = dispatched(database)
    keeper(database, Broker(), "dead")
    claim(database, first, "dead", 1)
    ChunkRunner(database, "dead", SETTINGS).run(second)
    set_back(database, workers, "lease_until", id="dead")
    set_back(database, chunks, "published_at", id=third)

    broker = Broker()
    housekeeper = keeper(database, broker, "alone")
    runner = ChunkRunner(database, "alone", SETTINGS)
    for _ in range(10):
        housekeeper.round()
        for chunk in broker.take():
            runner.run(chunk)
    assert job_of(database, job).state is JobState.SUCCEEDED
    assert archived(database, job) == ARCHIVED
    totals = Administration(database, "root").status(job).totals
    assert (totals.changed, totals.unchanged, totals.failed) == (2, 4, 0)


def test_a_process_that_holds_a_chunk_past_its_deadline_is_ended(database: Database) -> None:
    submit_ten(database)
    broker = Broker()
    housekeeper = keeper(database, broker)
    claim(database, dispatched(database)[0], "worker", GONE + 1)
    housekeeper.round()
    assert broker.killed == []
    set_back(database, chunks, "deadline", state="claimed")
    housekeeper.round()
    assert broker.killed == [GONE + 1]


def test_as_many_messages_are_sent_again_as_are_missing_at_the_broker(database: Database) -> None:
    submit_ten(database, chunk_size=2)
    broker = Broker()
    housekeeper = keeper(database, broker)
    housekeeper.round()
    assert len(broker.take()) == 5
    set_back(database, chunks, "published_at", state="dispatched")
    broker.waiting = 5
    housekeeper.round()
    assert broker.take() == []
    broker.waiting = 3
    housekeeper.round()
    assert len(broker.take()) == 2
