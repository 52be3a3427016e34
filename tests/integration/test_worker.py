"""Real Celery workers on a real broker and both databases: jobs are served, and end right whatever dies meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tests.installation import EVERYTHING, Installation, eventually
from tests.small import chunks_of, dump
from worker.embedded import EmbeddedBroker, embedded_address


@pytest.fixture
def installation(tmp_path: Path, database_url: str, broker_url: str) -> Iterator[Installation]:
    """Records in a fresh database, once of each kind, and a broker that runs."""
    installation = Installation(tmp_path, database_url, broker_url)
    yield installation
    installation.close()


def test_a_worker_started_as_any_celery_worker_serves_a_job_and_ends_when_asked_to(installation: Installation) -> None:
    worker = installation.start_celery()
    done = installation.run(*EVERYTHING, "--wait")
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    installation.assert_all_is_reset_once(1)

    processes = worker.processes()
    assert len(processes) >= 4, "the worker, two children and the housekeeper"
    assert worker.stop() == 0, worker.log()
    eventually(lambda: not any(alive(process) for process in processes))
    assert dump(installation.database)["workers"] == []


def test_a_worker_started_by_the_program_serves_a_job_that_was_waiting(installation: Installation) -> None:
    job = installation.submit()
    assert installation.status(job).job.state.value == "queued"
    worker = installation.start_worker()
    installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)
    assert worker.stop() == 0, worker.log()


def test_two_workers_share_a_job_and_do_everything_once(installation: Installation) -> None:
    for worker in (installation.start_celery(concurrency=1), installation.start_celery(concurrency=1)):
        worker.wait_until_ready()
    job = installation.submit(chunk_size=2)
    installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)
    assert len({chunk["worker_id"] for chunk in chunks_of(installation.database, job)}) == 2


def test_a_job_submitted_while_the_broker_is_down_is_recorded_and_runs_when_it_is_back(
    tmp_path: Path, database_url: str
) -> None:
    home = tmp_path / "home"
    installation = Installation(tmp_path, database_url, embedded_address(home).kombu_url)
    try:
        done = installation.run(*EVERYTHING)
        assert done.returncode == 0, done.stderr
        assert "warning: job 1 is recorded, but the broker is out of reach" in done.stderr
        assert installation.status(1).job.state.value == "queued"

        installation.start_celery()
        eventually(lambda: "Cannot connect" in installation.logs(), why=installation.logs)
        with EmbeddedBroker(home):
            installation.wait_for_end(1)
            installation.assert_all_is_reset_once(1)
            installation.close()
    finally:
        installation.close()


def test_a_child_that_is_killed_in_the_middle_of_a_chunk_loses_and_repeats_nothing(installation: Installation) -> None:
    installation.start_celery()
    job = installation.submit(chunk_size=1)  # or it may be over before a chunk is caught at work
    for users in (3, 30):
        installation.wait_for_progress(job, users)
        installation.freeze_at_work().kill()
    status = installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)
    assert status.totals.chunks_retried >= 2


def test_a_second_worker_finishes_what_a_killed_one_had_begun(installation: Installation) -> None:
    first = installation.start_celery()
    job = installation.submit(chunk_size=1)
    installation.wait_for_progress(job)
    installation.freeze_at_work()
    first.kill()
    begun = installation.status(job)
    assert not begun.job.state.ended
    assert begun.totals.chunks_in_flight > 0

    installation.start_celery()
    installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)


def test_a_broker_that_is_emptied_again_and_again_costs_no_job(installation: Installation, broker_url: str) -> None:
    installation.start_celery()
    job = installation.submit(chunk_size=1)
    with redis.Redis.from_url(broker_url.replace("redis+socket://", "unix://", 1)) as client:
        for users in (1, 30, 60):
            installation.wait_for_progress(job, users)
            client.flushall()
    installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
