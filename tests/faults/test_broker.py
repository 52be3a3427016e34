"""What the broker and the messages die of: killed, emptied, frozen, full, lost, late, doubled. Jobs end right."""

import json
import signal
import threading
import time
import uuid
from contextlib import suppress
from typing import Self

import redis

from tests.faults.broker import QUEUE, Broker
from tests.faults.harness import Scene, for_seconds
from tests.faults.settings import LONG_LIMITS, SUBMIT, WINDOW, Recovery
from tests.installation import eventually
from tests.small import chunks_of


def test_a_broker_restarted_three_times_and_then_again_leaves_no_worker_idle(scene: Scene, recovery: Recovery) -> None:
    workers = scene.start_workers(2)
    job = scene.submit(max_rate=30, chunk_size=5)  # enough for everybody after the last restart, too
    began = time.monotonic()
    for _ in range(3):
        scene.wait_for_progress(job)
        scene.broker.restart()
    scene.wait_for_progress(job)
    assert time.monotonic() - began < 10

    scene.broker.restart()
    began = time.monotonic()
    known = {chunk["id"] for chunk in chunks_of(scene.database)}
    eventually(lambda: len(owners(scene, known)) == len(workers), 10, scene.tell)
    recovery("broker restarted, all workers at work", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    # What a worker had taken when its connection broke stays unacknowledged until the visibility timeout.
    scene.assert_exactly_once(job, duplicates=4 * len(workers))


def test_a_worker_whose_broker_was_restarted_still_replaces_its_housekeeper(scene: Scene) -> None:
    (worker,) = scene.start_workers(1)
    scene.broker.restart()
    eventually(lambda: worker.log().count("Connected to") == 2, why=worker.log)
    (killed,) = worker.housekeepers()
    killed.kill()
    eventually(lambda: {found.pid for found in worker.housekeepers()} - {killed.pid}, why=worker.log)
    job = scene.submit()
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_a_broker_that_is_emptied_while_a_job_runs_costs_it_nothing(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(2)
    job = scene.submit(max_rate=100)
    waited = []
    for _ in range(3):
        scene.wait_for_progress(job)
        scene.broker.flush()
        began = time.monotonic()
        scene.wait_for_progress(job)
        waited.append(time.monotonic() - began)
    recovery("broker emptied", max(waited))
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert scene.lost_and_retried(job) == (0, 0)


def test_a_broker_frozen_for_longer_than_a_socket_waits_holds_a_job_up_no_longer(
    scene: Scene, recovery: Recovery
) -> None:
    scene.start_workers(2)
    job = scene.submit(max_rate=100)
    scene.wait_for_progress(job)
    scene.broker.freeze()
    for_seconds(3)
    scene.broker.thaw()
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("broker frozen", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job, duplicates=len(scene.workers) * 3)  # messages whose senders waited in vain


def test_a_broker_that_takes_no_acknowledgement_is_asked_for_the_next_message_all_the_same(
    scene: Scene, recovery: Recovery
) -> None:
    job = scene.submit()
    frozen = scene.freeze_outside(job, workers=1, LEASE_SECONDS=30, **LONG_LIMITS)
    scene.broker.freeze()
    for_seconds(3)  # whatever the worker tells a broker by itself has waited for it meanwhile
    frozen.process.resume()
    eventually(lambda: "Couldn't ack" in frozen.worker.log(), 20, scene.tell)
    scene.broker.thaw()
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("broker that took no acknowledgement", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job, duplicates=3)  # messages whose sender waited in vain


def test_every_message_delivered_five_times_at_once_does_everything_once(scene: Scene) -> None:
    with Relay(scene.broker) as relay:
        scene.start_workers(2, "-Q", "delivered")
        job = scene.submit(chunk_size=20)
        scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert relay.delivered >= 5 * len(chunks_of(scene.database, job))
    assert sum(worker.log().count("chunk not claimed") for worker in scene.workers) > relay.delivered / 2


def test_a_chunk_longer_than_the_visibility_timeout_runs_once(scene: Scene) -> None:
    hasty = {
        "STATEMENT_TIMEOUT_SECONDS": 0.5,
        "CHUNK_HARD_LIMIT_SECONDS": 1,
        "CHUNK_DEADLINE_SECONDS": 1.5,
        "BROKER_VISIBILITY_SECONDS": 2,
    }
    job = scene.submit(chunk_size=1000)
    frozen = scene.freeze_outside(job, workers=1, LEASE_SECONDS=30, **LONG_LIMITS)
    for_seconds(2.2)
    (other,) = scene.start_workers(1, **hasty)  # its start brings back what was not acknowledged for two seconds
    eventually(lambda: "chunk not claimed" in other.log(), why=scene.tell)
    frozen.process.resume()
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert [chunk["fence"] for chunk in chunks_of(scene.database, job)] == [frozen.chunk["fence"]]


def test_a_dispatcher_killed_between_commit_and_message_costs_time_only(scene: Scene, recovery: Recovery) -> None:
    job = scene.submit()
    assert scene.run_script("dispatcher.py", "dies") == -signal.SIGKILL
    assert len(chunks_of(scene.database, job)) == WINDOW
    assert scene.broker.messages() == 0
    scene.start_workers(1)
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("dispatcher killed before it published", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_a_message_that_was_delivered_although_its_sender_failed_is_harmless(scene: Scene) -> None:
    job = scene.submit()
    assert scene.run_script("dispatcher.py", "fails") == 1
    assert scene.broker.messages() == 1
    scene.start_workers(2)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_a_job_submitted_while_the_broker_is_down_runs_when_it_is_back(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(1)
    scene.broker.kill()
    done = scene.run(*SUBMIT)
    assert done.returncode == 0, done.stderr
    assert not scene.status(1).job.state.ended
    scene.broker.start()
    began = time.monotonic()
    scene.wait_for_progress(1)
    recovery("broker back after a submission", time.monotonic() - began)
    scene.wait_for_end(1)
    scene.assert_exactly_once(1)


def test_workers_survive_a_broker_whose_disk_is_full_until_there_is_room(scene: Scene, recovery: Recovery) -> None:
    workers = scene.start_workers(2)
    job = scene.submit(max_rate=60)
    scene.wait_for_progress(job)
    scene.broker.fill_disk()
    eventually(lambda: refuses(scene.broker), 10)
    for_seconds(2)
    scene.broker.free_disk()
    began = time.monotonic()
    scene.wait_for_progress(job)
    recovery("broker's disk full", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    assert [worker.stop() for worker in workers] == [0, 0], scene.tell()
    scene.assert_exactly_once(job, duplicates=2 * len(workers))


def owners(scene: Scene, known: set[int]) -> set[str]:
    """Give the workers that have taken a chunk that is not among those known before."""
    return {chunk["worker_id"] for chunk in chunks_of(scene.database) if chunk["id"] not in known} - {None}


def refuses(broker: Broker) -> bool:
    """Tell whether a broker takes nothing more because it cannot write it down."""
    try:
        broker.client.set("training-reset:probe", "x" * 1000)
    except redis.ResponseError as error:
        return "MISCONF" in str(error)
    return False


class Relay:
    """A context that takes every message from the queue and puts it five times into another, called `delivered`."""

    def __init__(self, broker: Broker) -> None:
        self.delivered = 0
        self._client = broker.client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._deliver)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _deliver(self) -> None:
        while not self._stop.is_set():
            with suppress(redis.RedisError):
                taken = self._client.brpop([QUEUE], timeout=0.2)
                if taken is not None:
                    self._client.lpush("training-reset:delivered", *(copy_of(taken[1]) for _ in range(5)))
                    self.delivered += 5


def copy_of(message: bytes) -> str:
    """Give a message again as if it had been published once more."""
    copy = json.loads(message)
    copy["properties"]["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(copy)
