"""Chunks are small while learners wait for them, and as large as ever when nobody did for a while."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from jobs import dispatch, execution
from jobs.database import Database
from jobs.execution import ChunkRunner
from jobs.model import JobState, Outcome
from jobs.scope import PRIORITIES
from jobs.services import Administration
from jobs.settings import Settings
from jobs.store.tables import chunks
from jobs.wording import status_text
from tests.installation import eventually
from tests.interruptions import gate, heal, poison, sessions_that_wait
from tests.small import Broker, archived, chunks_of, fill_crowd, job_of, of_users, ranges_of, set_back, submit, work

SETTINGS = Settings(window=2, chunk_size_start=8, gentle_share=1)


def be_in_a_learner_s_way(database: Database, url: str, crowd: list[int]) -> Broker:
    """Run the first of the chunks of eight that are dispatched while a learner in it waits to write."""
    broker = Broker()
    dispatch.fill(database, SETTINGS, broker)
    own = Database(url)
    with ThreadPoolExecutor(2) as pool:
        with gate(database, crowd[3:4]):
            running = pool.submit(ChunkRunner(own, "worker", SETTINGS).run, broker.messages.pop(0))
            eventually(lambda: sessions_that_wait(database) == 1)
            learning = pool.submit(_finish_a_chapter, url, crowd[0])
            eventually(lambda: sessions_that_wait(database) == 2)
        assert running.result()
        learning.result()
    own.close()
    heal(database)
    return broker


def _finish_a_chapter(url: str, user: int) -> None:
    with psycopg.connect(url) as learner:
        learner.execute("UPDATE chapter_progress SET last_activity_at = now() WHERE user_id = %s", [user])


def test_while_learners_wait_for_chunks_the_next_ones_are_small(postgres: Database, postgres_database_url: str) -> None:
    crowd = fill_crowd(postgres, 40)
    job = submit(postgres, of_users(crowd))
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    assert [chunk["collisions"] for chunk in chunks_of(postgres, job)] == [1, 0]
    status = Administration(postgres, "root").status(job)
    assert "gently    in small chunks with rests, because others write to the same records" in status_text(status)

    set_back(postgres, chunks, "claimed_at", collisions=1)  # as if it had taken an hour
    dispatch.fill(postgres, SETTINGS, broker)
    assert ranges_of(postgres, job) == [(0, 7), (8, 15), (16, 16)]

    assert all(ChunkRunner(postgres, "worker", SETTINGS).run(chunk) for chunk in broker.messages)
    work(postgres, SETTINGS)
    assert job_of(postgres, job).state is JobState.SUCCEEDED
    assert {line.outcome for line in Administration(postgres, "root").report(job)} == {Outcome.CHANGED}


class Rests(list[float]):
    """Takes the place of sleeping, and lets that much time pass by for whoever looks at the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = time.monotonic
        monkeypatch.setattr(execution, "time", SimpleNamespace(monotonic=lambda: clock() + sum(self)))


def rest_after_a_chunk(database: Database, broker: Broker, rests: Rests) -> float:
    """Run the next chunk and rest after it; give the seconds that the chunk took at most."""
    runner, began = ChunkRunner(database, "worker", Settings(), sleep=rests.append), time.monotonic()
    assert runner.run(broker.messages.pop(0))
    took = time.monotonic() - began
    runner.rest()
    return took


def test_while_learners_wait_for_chunks_a_process_rests_after_each_for_the_most_of_its_time(
    postgres: Database, postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, rests = fill_crowd(postgres, 40), Rests(monkeypatch)
    submit(postgres, of_users(crowd))
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    took = rest_after_a_chunk(postgres, broker, rests)
    assert 0 < sum(rests) <= min(49 * took, 5), "49 parts of rest for one of work, and no more than five seconds"

    rests.clear()
    set_back(postgres, chunks, "done_at", collisions=1)
    dispatch.fill(postgres, SETTINGS, broker)
    rest_after_a_chunk(postgres, broker, rests)
    assert rests == [], "nobody was in the way for half a minute"


@pytest.mark.parametrize("options", [{"urgent": True}, {"chunk_size": 8}])
def test_a_process_does_not_rest_for_a_job_that_is_urgent_or_keeps_its_size(
    postgres: Database, postgres_database_url: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    crowd, rests = fill_crowd(postgres, 40), Rests(monkeypatch)
    submit(postgres, of_users(crowd), **options)
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    rest_after_a_chunk(postgres, broker, rests)
    assert rests == []


def test_a_process_does_not_rest_for_a_job_that_is_over(
    postgres: Database, postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, rests = fill_crowd(postgres, 16), Rests(monkeypatch)
    job = submit(postgres, of_users(crowd))
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    rest_after_a_chunk(postgres, broker, rests)
    assert job_of(postgres, job).state is JobState.SUCCEEDED
    assert rests == []


def test_a_process_that_rests_goes_on_as_soon_as_a_job_of_a_higher_priority_waits(
    postgres: Database, postgres_database_url: str
) -> None:
    crowd = fill_crowd(postgres, 40)
    submit(postgres, of_users(crowd))
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    own: list[int] = []

    def a_learner_wants_its_own(_: float) -> None:
        assert not own, "it rested on"
        own.append(submit(postgres, of_users(crowd[-1:]), priority=PRIORITIES["high"]))
        dispatch.fill(postgres, Settings(), broker)

    runner = ChunkRunner(postgres, "worker", Settings(gentle_share=0.0001), sleep=a_learner_wants_its_own)
    assert runner.run(broker.messages.pop(0))
    runner.rest()
    assert len(own) == 1, "it did not rest at all"


def test_once_nobody_waited_for_half_a_minute_chunks_are_as_large_as_before(
    postgres: Database, postgres_database_url: str
) -> None:
    crowd = fill_crowd(postgres, 40)
    job = submit(postgres, of_users(crowd))
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    set_back(postgres, chunks, "done_at", collisions=1)
    assert "gently" not in status_text(Administration(postgres, "root").status(job))
    dispatch.fill(postgres, SETTINGS, broker)
    assert ranges_of(postgres, job) == [(0, 7), (8, 15), (16, 31)], "twice the last, for it shows no time that it took"


def test_a_chunk_that_lost_twice_against_learners_locks_the_first_of_its_users_only_and_leaves_the_others_to_another(
    postgres: Database,
) -> None:
    crowd = fill_crowd(postgres, 40)
    poison(postgres, crowd[20:21], code="40001")
    job = submit(postgres, of_users(crowd), chunk_size=40)
    broker = Broker()
    dispatch.fill(postgres, SETTINGS, broker)
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 2:
            heal(postgres)

    assert ChunkRunner(postgres, "worker", SETTINGS, sleep=sleep).run(broker.messages[0])
    assert ranges_of(postgres, job) == [(0, 7), (8, 15), (16, 23), (24, 31), (32, 39)]
    first, *others = chunks_of(postgres, job)
    assert (first["state"], first["collisions"]) == ("done", 2)
    assert {(chunk["state"], chunk["published_at"]) for chunk in others} == {("dispatched", None)}
    more = Broker()
    assert dispatch.fill(postgres, SETTINGS, more) == SETTINGS.window, "no more messages than places"
    assert all(ChunkRunner(postgres, "worker", SETTINGS).run(chunk) for chunk in more.messages)
    work(postgres, SETTINGS)
    assert job_of(postgres, job).state is JobState.SUCCEEDED
    assert {line.outcome for line in Administration(postgres, "root").report(job)} == {Outcome.CHANGED}
    assert archived(postgres, job)["course_progress"] == [(user, 101) for user in crowd]


def test_a_size_that_was_given_with_the_job_stays(postgres: Database, postgres_database_url: str) -> None:
    crowd = fill_crowd(postgres, 40)
    job = submit(postgres, of_users(crowd), chunk_size=8)
    broker = be_in_a_learner_s_way(postgres, postgres_database_url, crowd)
    dispatch.fill(postgres, SETTINGS, broker)
    assert ranges_of(postgres, job) == [(0, 7), (8, 15), (16, 23)]
