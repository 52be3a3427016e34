"""What workers die of: killed, asked to end, frozen and thawed. A job ends right, and soon, all the same."""

import signal
import time
from pathlib import Path

from tests.faults.harness import Scene
from tests.faults.settings import LEASE_SECONDS, LONG_LIMITS, RECOVERY_SECONDS, Recovery
from tests.installation import eventually
from tests.small import chunks_of


def test_a_child_killed_inside_its_transaction_costs_one_chunk_of_time(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(1, concurrency=2)
    job = scene.submit()
    caught = scene.catch_inside(job)
    caught.process.kill()
    began = time.monotonic()
    scene.be_fast()
    scene.wait_for_users(job, caught.users)
    recovery("child killed inside its transaction", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert scene.status(job).totals.chunks_retried == 1


def test_another_worker_finishes_what_a_killed_one_and_its_prefetch_held(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(2)
    job = scene.submit()
    caught = scene.catch_inside(job)
    caught.worker.kill()
    began = time.monotonic()
    scene.be_fast()
    scene.wait_for_users(job, caught.users)
    recovery("worker killed with its prefetch", time.monotonic() - began)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_five_rolling_restarts_under_load_cost_no_attempt_and_fail_nothing(scene: Scene, recovery: Recovery) -> None:
    patient = LONG_LIMITS | {"LEASE_SECONDS": 20}  # a busy machine counts no chunk as overdue
    scene.start_workers(2, **patient)
    scene.be_slow_everywhere(0.25)  # longer at work than five restarts take on a busy machine
    job = scene.submit(chunk_size=2)
    waited = []
    for restart in range(5):
        replacement = scene.start_worker(**patient)
        scene.wait_for_progress(job)
        assert scene.workers[restart].stop() == 0, scene.tell()
        began = time.monotonic()
        scene.wait_for_progress(job)
        waited.append(time.monotonic() - began)
        replacement.wait_until_ready()
    recovery("worker left in order", max(waited))
    assert not scene.status(job).job.state.ended, "over before the last restart"
    scene.be_fast()
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    assert scene.lost_and_retried(job) == (0, 0)


def test_leaving_at_once_is_safe_by_sigquit_and_by_a_second_ctrl_c(scene: Scene) -> None:
    scene.start_workers(3)
    job = scene.submit(max_rate=25)
    caught = scene.catch_inside(job)
    caught.worker.process.send_signal(signal.SIGQUIT)
    caught.worker.process.wait(10)
    scene.be_fast()

    caught = scene.catch_inside(job)
    caught.worker.process.send_signal(signal.SIGINT)
    eventually(lambda: "Ctrl+C" in caught.worker.log(), why=caught.worker.log)
    caught.worker.process.send_signal(signal.SIGINT)
    caught.worker.process.wait(10)
    scene.be_fast()
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_a_worker_frozen_past_its_lease_before_its_transaction_is_fenced_when_thawed(
    scene: Scene, recovery: Recovery
) -> None:
    job = scene.submit()
    frozen = scene.freeze_outside(job, workers=2, **LONG_LIMITS)
    scene.freeze_wholly(frozen.worker)
    began = time.monotonic()
    scene.wait_for_users(job, frozen.users)
    recovery("worker frozen outside its transaction", time.monotonic() - began)
    scene.wait_for_end(job)
    frozen.process.resume()  # alone, or the worker might end it as overdue before it could try to commit
    eventually(lambda: "chunk fenced off" in frozen.worker.log(), why=scene.tell)
    frozen.worker.thaw()
    assert frozen.worker.stop() == 0
    scene.assert_exactly_once(job)


def test_a_worker_frozen_inside_its_transaction_hangs_nobody_and_is_fenced_when_thawed(
    scene: Scene, recovery: Recovery
) -> None:
    scene.start_workers(2)
    job = scene.submit(max_rate=40)
    frozen = scene.catch_inside(job)
    on_server = scene.database.dialect == "postgresql"
    frozen.worker.freeze(housekeeper=on_server)  # on SQLite it ends the process that holds everybody's lock
    began = time.monotonic()
    if on_server:
        assert scene.learner_writes(frozen.users[-1] + 10) < 1
        scene.wait_for_progress(job)
        assert scene.status(job).totals.chunks_in_flight > 0
    assert scene.learner_writes(frozen.users[-1]) < RECOVERY_SECONDS
    recovery("learner's write behind a frozen transaction", time.monotonic() - began)
    scene.be_fast()
    scene.wait_for_users(job, frozen.users)
    recovery("worker frozen inside its transaction", time.monotonic() - began)
    scene.hurry(job)
    scene.wait_for_end(job)
    frozen.worker.thaw()
    assert frozen.worker.stop() == 0
    scene.assert_exactly_once(job)


_SLOW_START = """
import sys
import time

if "worker.housekeeper" in sys.orig_argv:
    time.sleep(3)
"""


def test_a_housekeeper_that_takes_longer_than_a_lease_to_start_is_waited_for(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(_SLOW_START)
    scene.environment |= {"PYTHONPATH": f"{tmp_path / 'slow'}"}
    assert LEASE_SECONDS < 3
    scene.start_workers(1)
    job = scene.submit()
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_children_that_outgrow_their_memory_are_replaced_at_no_cost(scene: Scene) -> None:
    scene.start_workers(1, WORKER_MAX_MEMORY_KIB=1)
    job = scene.submit(chunk_size=60)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    chunks = chunks_of(scene.database, job)
    assert len({chunk["process_id"] for chunk in chunks}) == len(chunks) > 5
    assert scene.lost_and_retried(job) == (0, 0)
