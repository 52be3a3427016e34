"""The window on both databases: never exceeded, shared fairly, and messages that were not sent are known."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs import dispatch
from jobs.database import Database
from jobs.dispatch import PublishFailed
from jobs.execution import ChunkRunner
from jobs.settings import Settings
from jobs.store import chunk_rows
from tests.small import Broker, chunks_of, fill_crowd, job_of, of_users, ranges_of, set_job, submit, work


def in_flight(database: Database) -> int:
    return sum(chunk["state"] != "done" for chunk in chunks_of(database))


def jobs_of(database: Database, chunk_ids: list[int]) -> list[int]:
    job_by_chunk = {chunk["id"]: chunk["job_id"] for chunk in chunks_of(database)}
    return [job_by_chunk[chunk_id] for chunk_id in chunk_ids]


def test_the_window_is_filled_and_no_further(database: Database) -> None:
    crowd = fill_crowd(database, 20)
    job = submit(database, of_users(crowd), chunk_size=3)
    broker = Broker()
    assert dispatch.fill(database, Settings(window=4), broker) == 4
    assert dispatch.fill(database, Settings(window=4), broker) == 0
    assert ranges_of(database, job) == [(0, 2), (3, 5), (6, 8), (9, 11)]
    assert broker.messages == [chunk["id"] for chunk in chunks_of(database)]
    assert job_of(database, job).next_ordinal == 12


def test_a_finished_chunk_makes_room_for_the_next_until_every_user_is_in_one(database: Database) -> None:
    crowd = fill_crowd(database, 20)
    job = submit(database, of_users(crowd), chunk_size=3)
    ran = work(database, Settings(window=2))
    assert len(ran) == 7
    assert ranges_of(database, job) == [(0, 2), (3, 5), (6, 8), (9, 11), (12, 14), (15, 17), (18, 19)]


def test_four_who_fill_the_window_at_once_do_not_exceed_it(database: Database, database_url: str) -> None:
    crowd = fill_crowd(database, 60)
    for _ in range(3):
        submit(database, of_users(crowd), chunk_size=5)
    broker = Broker()
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        filled = list(pool.map(lambda own: dispatch.fill(own, Settings(window=7), broker), databases))
    for own in databases:
        own.close()
    assert sum(filled) == in_flight(database) == 7
    assert sorted(broker.messages) == [chunk["id"] for chunk in sorted(chunks_of(database), key=lambda c: c["id"])]


def test_the_window_holds_while_four_workers_run_and_fill(database: Database, database_url: str) -> None:
    crowd = fill_crowd(database, 60)
    jobs = [submit(database, of_users(crowd), chunk_size=5) for _ in range(2)]
    settings, broker, seen = Settings(window=3), Broker(), []

    def as_a_worker(own: Database) -> None:
        runner = ChunkRunner(own, "worker", settings)
        for _ in range(500):
            dispatch.fill(own, settings, broker)
            seen.append(in_flight(own))
            for chunk in broker.take():
                runner.run(chunk)
            if all(job_of(own, job).state.ended for job in jobs):
                return

    as_workers(database_url, as_a_worker)
    assert max(seen) == 3
    assert [job_of(database, job).state.value for job in jobs] == ["succeeded", "succeeded"]
    for job in jobs:
        assert ranges_of(database, job) == [(first, first + 4) for first in range(0, 60, 5)]


def as_workers(database_url: str, call: Callable[[Database], None]) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, databases))
    for own in databases:
        own.close()


@pytest.mark.parametrize("fill", [dispatch.fill, dispatch.refill])
def test_a_small_job_behind_a_huge_one_gets_the_next_place(database: Database, fill: Callable[..., int]) -> None:
    crowd = fill_crowd(database, 40)
    submit(database, of_users(crowd), chunk_size=1)
    settings, broker = Settings(window=4), Broker()
    dispatch.fill(database, settings, broker)
    small = submit(database, of_users(crowd[:1]))
    ChunkRunner(database, "worker", settings).run(broker.take()[0])
    assert fill(database, settings, broker) == 1
    assert jobs_of(database, broker.messages) == [small]


def test_chunks_that_wait_for_a_message_again_share_the_window_with_a_job_that_came_later(database: Database) -> None:
    crowd = fill_crowd(database, 40)
    large = submit(database, of_users(crowd), chunk_size=1)
    broker = Broker()
    dispatch.fill(database, Settings(window=8), broker)
    with database.write() as connection:
        chunk_rows.mark_unpublished(connection, broker.take())
    small = submit(database, of_users(crowd[:1]))
    assert dispatch.fill(database, Settings(window=3), broker) == 3
    assert jobs_of(database, broker.messages) == [large, small, large]
    assert len(ranges_of(database, large)) == 8, "no new one while others wait"


def test_after_a_chunk_the_window_is_filled_when_less_than_half_of_it_waits(database: Database) -> None:
    crowd = fill_crowd(database, 20)
    submit(database, of_users(crowd), chunk_size=1)
    settings, broker = Settings(window=4), Broker()
    runner, sent = ChunkRunner(database, "worker", settings), []
    dispatch.fill(database, settings, broker)
    for _ in range(4):
        runner.run(broker.messages.pop(0))
        sent.append(dispatch.refill(database, settings, broker))
    assert sent == [0, 0, 3, 0]


def test_chunks_that_wait_without_a_message_do_not_count_as_waiting(database: Database) -> None:
    crowd = fill_crowd(database, 4)
    submit(database, of_users(crowd), chunk_size=1)
    settings, broker = Settings(window=4), Broker()
    broker.takes = 1
    with pytest.raises(dispatch.PublishFailed):
        dispatch.fill(database, settings, broker)
    broker.takes = None
    assert dispatch.refill(database, settings, broker) == 3


def test_a_job_of_higher_priority_overtakes_at_the_next_chunk(database: Database) -> None:
    crowd = fill_crowd(database, 40)
    low = submit(database, of_users(crowd), chunk_size=1, priority=0)
    settings, broker = Settings(window=2), Broker()
    dispatch.fill(database, settings, broker)
    high = submit(database, of_users(crowd[:2]), chunk_size=1, priority=2)
    runner, order = ChunkRunner(database, "worker", settings), []
    for _ in range(5):
        chunk = broker.messages.pop(0)
        order += jobs_of(database, [chunk])
        runner.run(chunk)
        dispatch.fill(database, settings, broker)
    assert order == [low, low, high, high, low]


@pytest.mark.parametrize("state", ["awaiting_approval", "holding", "pausing", "paused", "cancelling"])
def test_a_job_that_may_not_run_gets_no_place(database: Database, state: str) -> None:
    crowd = fill_crowd(database, 3)
    set_job(database, submit(database, of_users(crowd)), state=state)
    assert dispatch.fill(database, Settings(), Broker()) == 0


def test_a_job_with_a_rate_gets_one_slice_at_once_and_then_waits(database: Database) -> None:
    crowd = fill_crowd(database, 60)
    job = submit(database, of_users(crowd), max_rate=0.5)
    broker = Broker()
    for _ in range(3):
        dispatch.fill(database, Settings(), broker)
    assert ranges_of(database, job) == [(0, 0)]


def test_messages_that_the_broker_does_not_take_are_known_as_not_sent(database: Database) -> None:
    crowd = fill_crowd(database, 12)
    submit(database, of_users(crowd), chunk_size=3)
    broker = Broker()
    broker.takes = 1
    with pytest.raises(PublishFailed):
        dispatch.fill(database, Settings(), broker)
    assert [chunk["published_at"] is not None for chunk in chunks_of(database)] == [True, False, False, False]
    assert broker.messages == [chunks_of(database)[0]["id"]]


def test_a_chunk_that_ran_although_its_publishing_failed_stays_done(database: Database) -> None:
    crowd = fill_crowd(database, 3)
    job = submit(database, of_users(crowd))

    def publish_and_fail(chunk: int) -> None:
        ChunkRunner(database, "worker", Settings()).run(chunk)
        raise PublishFailed("timed out, and yet it was delivered")

    with pytest.raises(PublishFailed):
        dispatch.fill(database, Settings(), publish_and_fail)
    assert [chunk["state"] for chunk in chunks_of(database)] == ["done"]
    assert job_of(database, job).state.value == "succeeded"


def test_the_size_follows_the_tuner_from_the_start_size_up_to_the_largest(database: Database) -> None:
    crowd = fill_crowd(database, 100)
    job = submit(database, of_users(crowd))
    work(database, Settings(window=1, chunk_size_start=5, chunk_size_max=30, chunk_seconds=3600))
    sizes = [last - first + 1 for first, last in ranges_of(database, job)]
    assert sizes == [5, 10, 20, 30, 30, 5]
