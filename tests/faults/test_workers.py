"""What workers die of: killed, asked to end, frozen and thawed. A job ends right, and soon, all the same."""

import time

from tests.faults.harness import Recovery, Scene


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
