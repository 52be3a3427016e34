"""What else a job lives through: storms of orders, deadly users, rival leaders, wrong clocks, rivals for a worker."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from jobs.model import JobState, Outcome
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.steering import Steering
from jobs.store.tables import leases
from tests.faults import records
from tests.faults.harness import Scene, for_seconds
from tests.faults.processes import CeleryWorker
from tests.faults.settings import LONG_LIMITS, REQUEST, ROOT, SUBMIT, Recovery
from tests.installation import eventually
from tests.interruptions import poison
from tests.small import chunks_of

CONFLICT = 5


def at_once(scene: Scene, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Run commands of the program, each in a process of its own, all at once."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: scene.run(*words), commands))


def targets(scene: Scene) -> list[int]:
    with scene.database.read() as connection:
        return records.targets(connection)


def reasons(scene: Scene, job: int) -> dict[int, str | None]:
    """Give the users of a job who failed."""
    return {line.user_id: line.error for line in scene.administration.report(job) if line.outcome is Outcome.FAILED}


# Orders.


def test_nothing_commits_after_paused_is_reported_however_many_give_the_orders_at_once(
    scene: Scene, recovery: Recovery
) -> None:
    scene.start_workers(2)
    job = scene.submit(max_rate=4, chunk_size=2)
    pause, resume, cancel = (("job", order, f"{job}") for order in ("pause", "resume", "cancel"))
    waited = []
    for _ in range(3):
        scene.wait_for_progress(job)
        assert_all_done(at_once(scene, pause, pause))
        assert_at_rest(scene, job, JobState.PAUSED)
        began = time.monotonic()
        assert_all_done(at_once(scene, resume, resume))
        scene.wait_for_progress(job)
        waited.append(time.monotonic() - began)
    recovery("resumed twice at once, until the next chunk", max(waited))

    at_once(scene, pause, resume, pause, resume)
    scene.run(*resume)  # pausing or paused or going on: whatever came last, it goes on after this
    eventually(lambda: scene.run(*resume).returncode == 0, 10, scene.tell)
    scene.wait_for_progress(job)

    ended = at_once(scene, pause, cancel, resume, cancel)
    assert [ended[1].returncode, ended[3].returncode] == [0, 0], [command.stderr for command in ended]
    assert_at_rest(scene, job, JobState.CANCELLED)
    assert [command.returncode for command in at_once(scene, resume, pause, cancel)] == [CONFLICT, CONFLICT, 0]
    scene.assert_exactly_once(job, JobState.CANCELLED)


def assert_all_done(ended: list[subprocess.CompletedProcess[str]]) -> None:
    assert [command.returncode for command in ended] == [0] * len(ended), [command.stderr for command in ended]


def assert_at_rest(scene: Scene, job: int, state: JobState) -> None:
    """Require that a job has stopped, and that nothing of it is committed any more."""
    done = scene.done(job)
    assert scene.status(job).job.state is state
    for_seconds(0.5)
    assert (scene.done(job), scene.status(job).job.state) == (done, state)


def test_a_job_cancelled_at_its_last_chunk_keeps_what_is_done_and_commits_nothing_more(scene: Scene) -> None:
    users = len(targets(scene))
    size = next(size for size in range(40, 60) if users % size >= 20)
    begin_of_last = users - users % size
    scene.be_slow(begin_of_last, 1.2)
    scene.start_workers(1)
    job = scene.submit(chunk_size=size)
    eventually(lambda: scene.done(job) == begin_of_last and scene.claimed(job) is not None, 20, scene.tell)
    ended = scene.run("job", "cancel", f"{job}")
    done, state = scene.done(job), scene.status(job).job.state
    if ended.returncode == 0:
        assert state is JobState.CANCELLED
    else:  # the chunk came first, and with it the job's end
        assert (ended.returncode, state) == (CONFLICT, JobState.SUCCEEDED), ended.stderr
    for_seconds(0.5)
    assert scene.done(job) == done
    assert done in (begin_of_last, users)
    scene.assert_exactly_once(job, state)


def test_a_job_cancelled_before_its_last_chunk_began_its_transaction_changes_nothing(
    scene: Scene, recovery: Recovery
) -> None:
    job = scene.submit(chunk_size=1000)
    frozen = scene.freeze_outside(job, workers=1, **LONG_LIMITS | {"LEASE_SECONDS": 30})
    began = time.monotonic()
    assert_all_done([scene.run("job", "cancel", f"{job}")])
    recovery("cancelled while a chunk was frozen, command's time", time.monotonic() - began)
    assert_at_rest(scene, job, JobState.CANCELLED)
    frozen.process.resume()
    eventually(lambda: "chunk fenced off" in frozen.worker.log(), why=scene.tell)
    assert scene.done(job) == 0
    scene.assert_exactly_once(job, JobState.CANCELLED)


def test_one_idempotency_key_from_eight_processes_at_once_makes_one_job(scene: Scene) -> None:
    words = ("--json", *SUBMIT, "--idempotency-key", "the new year")
    ended = at_once(scene, *[words] * 8)
    assert [command.returncode for command in ended] == [0] * 8, [command.stderr for command in ended]
    assert {json.loads(command.stdout)["id"] for command in ended} == {1}
    assert len(scene.administration.jobs()) == 1
    assert scene.status(1).job.users_total == len(targets(scene))


# Users who make trouble.


def test_a_user_whose_records_always_raise_fails_alone(scene: Scene, recovery: Recovery) -> None:
    with scene.database.read() as connection:
        expected = records.expected_rows(connection)
    user = next(user for user in targets(scene)[50:] if expected[user]["chapter_progress"])
    poison(scene.database, [user])
    scene.start_workers(1, concurrency=2)
    began = time.monotonic()
    job = scene.submit()
    scene.wait_for_end(job)
    recovery("user who always raises, whole job", time.monotonic() - began)
    scene.assert_exactly_once(job, JobState.COMPLETED_WITH_FAILURES, failed=1)
    assert reasons(scene, job) == {user: "the row is cursed"}


def test_a_user_who_kills_every_process_is_failed_after_three_losses_alone(scene: Scene, recovery: Recovery) -> None:
    user = targets(scene)[31]
    scene.environment |= {"DEADLY_USER": f"{user}", "PYTHONPATH": f"{ROOT}"}
    scene.start_workers(1, "--include", "tests.faults.deadly", concurrency=2)
    began = time.monotonic()
    job = scene.submit(chunk_size=4)
    scene.wait_for_end(job, 40)
    recovery("user who kills every process, whole job", time.monotonic() - began)
    # The chunk comes back in two halves twice, and each death leaves a message until the worker has seen it.
    scene.assert_exactly_once(job, JobState.COMPLETED_WITH_FAILURES, failed=1, duplicates=2 * 2)
    assert reasons(scene, job) == {user: "the process that ran it died 3 times"}
    (alone,) = [chunk for chunk in chunks_of(scene.database, job) if chunk["users_failed"]]
    assert (alone["first_ordinal"], alone["last_ordinal"], alone["losses"]) == (31, 31, 3)


# Leaders and clocks.


def test_a_leader_that_is_frozen_and_thawed_beside_another_one_does_no_harm(scene: Scene, recovery: Recovery) -> None:
    scene.start_workers(2, LEASE_SECONDS=60)  # so that its worker does not take its silence for its end
    job = scene.submit(max_rate=60)
    scene.wait_for_progress(job)
    leader = eventually(lambda: leading(scene), 10, scene.tell)
    (housekeeper,) = leader.housekeepers()
    with scene.database.write():  # on SQLite nobody is inside a transaction now
        housekeeper.suspend()
    began = time.monotonic()
    eventually(lambda: leading(scene) not in (None, leader), 10, scene.tell)
    recovery("leader frozen", time.monotonic() - began)
    scene.wait_for_progress(job)
    housekeeper.resume()
    scene.wait_for_progress(job)
    assert leading(scene) is not leader
    scene.hurry(job)
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)


def test_a_housekeeper_frozen_inside_its_transaction_is_replaced(scene: Scene, recovery: Recovery) -> None:
    scene.be_slow_to_lead(0.3)
    (worker,) = scene.start_workers(1)
    frozen = eventually(lambda: scene.freeze_leading(worker), 20, scene.tell)
    began = time.monotonic()
    job = scene.submit()
    recovery("housekeeper frozen inside its transaction, until others can write", time.monotonic() - began)
    scene.be_fast()
    scene.wait_for_end(job)
    scene.assert_exactly_once(job)
    eventually(lambda: {found.pid for found in worker.housekeepers()} - {frozen.pid}, why=worker.log)


def leading(scene: Scene) -> CeleryWorker | None:
    """Give the worker whose housekeeper leads."""
    with scene.database.read() as connection:
        holder = connection.execute(select(leases.c.holder).where(leases.c.name == "housekeeping")).scalar_one()
    of_holder = [worker for worker in scene.workers if f":{worker.process.pid}:" in (holder or "")]
    return of_holder[0] if of_holder else None


_CLOCK = """
import datetime
import os
import time

shift = float(os.environ["CLOCK_SHIFT"])
now, now_ns, moment = time.time, time.time_ns, datetime.datetime


class Meta(type(moment)):
    def __instancecheck__(cls, value):
        return isinstance(value, moment)


class Shifted(moment, metaclass=Meta):
    @classmethod
    def now(cls, tz=None):
        return moment.now(tz) + datetime.timedelta(seconds=shift)


time.time = lambda: now() + shift
time.time_ns = lambda: now_ns() + int(shift * 1e9)
datetime.datetime = Shifted
"""


def test_workers_whose_clocks_are_ten_minutes_off_do_everything_once(
    scene: Scene, tmp_path: Path, recovery: Recovery
) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(_CLOCK)
    shifts = (600.0, -600.0)
    for shift in shifts:
        scene.environment |= {"PYTHONPATH": f"{tmp_path / 'clock'}", "CLOCK_SHIFT": f"{shift}"}
        scene.start_worker(concurrency=2)
    for worker in scene.workers:
        worker.wait_until_ready()
    job = scene.submit(max_rate=100)
    scene.wait_for_progress(job, 100)
    scene.hurry(job)
    began = time.monotonic()
    scene.wait_for_end(job)
    recovery("clocks ten minutes off, the rest of the job", time.monotonic() - began)
    for worker, shift in zip(scene.workers, shifts, strict=True):
        off = clock_of(worker) - datetime.now(UTC) - timedelta(seconds=shift)
        assert abs(off) < timedelta(seconds=60)
    # The worker that is ahead takes for forgotten what the other's children hold and have fetched ahead.
    scene.assert_exactly_once(job, duplicates=2 * 2)
    assert {chunk["losses"] for chunk in chunks_of(scene.database, job)} == {0}


def clock_of(worker: CeleryWorker) -> datetime:
    """Give the time of the last event that a worker wrote down."""
    events = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    return datetime.fromisoformat(events[-1]["timestamp"])


# Rivals for a worker.


def submit_few(scene: Scene, **options: int) -> int:
    """Record a job about the last five targets."""
    request = ResetRequest(
        kind=REQUEST.kind,
        users=UserSelection(ids=tuple(targets(scene)[-5:])),
        content=ContentSelection(all_content=True),
        location=REQUEST.location,
    )
    return scene.administration.submit(request, JobOptions(reason="a few more", **options))[0].id


def test_a_small_job_behind_a_huge_one_starts_within_seconds_and_a_more_urgent_one_overtakes_it(
    scene: Scene, recovery: Recovery
) -> None:
    scene.be_slow_everywhere(0.03)
    scene.start_workers(1)
    huge = scene.submit(chunk_size=1)
    scene.wait_for_progress(huge, 3)
    small = submit_few(scene, chunk_size=1)
    began = time.monotonic()
    scene.wait_for_progress(small)
    recovery("small job behind a huge one", time.monotonic() - began)
    assert time.monotonic() - began < 5

    urgent = submit_few(scene, priority=2, chunk_size=5)
    scene.wait_for_end(urgent, 5)
    assert not scene.status(huge).job.state.ended
    (chunk,) = chunks_of(scene.database, urgent)
    between = [
        other["id"]
        for other in chunks_of(scene.database, huge) + chunks_of(scene.database, small)
        if other["claimed_at"] is not None and chunk["created_at"] < other["claimed_at"] < chunk["claimed_at"]
    ]
    assert len(between) <= 1, "one chunk may have been on its way"
    Steering(scene.database, "root").cancel(huge)
    scene.wait_for_end(huge)
    scene.wait_for_end(small)
    for job in (huge, small, urgent):
        assert list(scene.administration.verify(job)) == []


def test_a_rate_holds_over_real_time_and_a_faster_one_at_once(scene: Scene) -> None:
    rate = 20.0
    slice_ = 2 * rate  # by so much a job may be ahead
    scene.start_workers(2)
    began = time.monotonic()
    assert scene.run(*SUBMIT, "--max-rate", f"{rate}").returncode == 0
    seen = [(0, 0.0)]
    while seen[-1][1] < 5:
        seen.append((scene.done(1), time.monotonic() - began))
    assert [(done, at) for done, at in seen if done > rate * at + slice_] == []
    assert seen[-1][0] >= rate
    left = scene.status(1).job.users_total - scene.done(1)
    assert left > 10 * rate, "enough to tell a faster rate by"
    assert scene.run("job", "set", "1", "--max-rate", "100000").returncode == 0
    scene.wait_for_end(1, 8)
    scene.assert_exactly_once(1)
