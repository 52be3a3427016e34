"""Steering on both databases, without any worker: what is stopped commits nothing more, what is retried is frozen."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, update

from jobs import dispatch
from jobs.database import Database
from jobs.errors import Conflict, InputRefused, NotFound
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.model import Job, JobState, Kind, Outcome
from jobs.records import tables
from jobs.scope import ContentSelection, JobOptions, ResetRequest
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import chunk_rows
from jobs.store.chunk_rows import Claim, Owner
from tests.interruptions import Holder, Sleeper, heal, poison
from tests.small import (
    ARCHIVED,
    AT_NORTH,
    Broker,
    archived,
    chunks_of,
    dump,
    fill_crowd,
    fill_small_system,
    job_of,
    of_users,
    ranges_of,
    set_job,
    submit,
    work,
)

SETTINGS = Settings(window=16)
FAR = datetime(2999, 1, 1, tzinfo=UTC)
NOTHING: dict[str, list[object]] = {table: [] for table in ARCHIVED}
RETRY = JobOptions(reason="once more")


def steering(database: Database, login: str = "root") -> Steering:
    return Steering(database, login)


def state(database: Database, job: int) -> str:
    return job_of(database, job).state.value


def runner(database: Database, worker_id: str = "worker") -> ChunkRunner:
    return ChunkRunner(database, worker_id, SETTINGS)


def dispatched(database: Database) -> list[int]:
    broker = Broker()
    dispatch.fill(database, SETTINGS, broker)
    return broker.messages


def claim(database: Database, chunk_id: int) -> Claim:
    with database.write() as connection:
        held = chunk_rows.claim_if_dispatched(connection, chunk_id, Owner(worker_id="worker", process_id=1), 60)
    assert held is not None
    return held


def housekeeping(database: Database, broker: Broker | None = None) -> None:
    broker = broker or Broker()
    keeper = Housekeeper(
        database,
        SETTINGS,
        "keeper",
        broker,
        lambda: broker.waiting,
        lambda _: True,
        broker.killed.append,
        broker.start_courier,
    )
    keeper.beat()
    keeper.round()


def outcomes(database: Database, job: int) -> dict[int, Outcome | None]:
    return {line.user_id: line.outcome for line in Administration(database, "root").report(job)}


@pytest.fixture
def small(database: Database) -> Database:
    fill_small_system(database)
    return database


@pytest.fixture
def job(small: Database) -> int:
    """A job about six users in three chunks, none of them dispatched yet."""
    return submit(small, chunk_size=2)


@pytest.fixture
def postgres(postgres_database_url: str) -> Iterator[Database]:
    database = Database(postgres_database_url)
    yield database
    database.close()


# Pause, resume and cancel, with nobody at work.

UNFINISHED = ("queued", "running", "holding")
ENDED = ("succeeded", "completed_with_failures", "failed", "cancelled", "rejected")


def put(database: Database, job: int, into: str) -> None:
    """Put a job into a state by hand."""
    set_job(database, job, state=into, finished_at=FAR if into in ENDED else None)


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


# Retry.


def retried(database: Database, job: int, login: str = "root") -> Job:
    again, new = steering(database, login).retry(job, RETRY)
    assert new
    return again


def test_a_retry_takes_exactly_the_failed_and_never_reached_users_in_their_order(database: Database) -> None:
    crowd = fill_crowd(database, 9)
    poison(database, [1002, 1005])
    job = submit(database, of_users(crowd), chunk_size=3, priority=2)
    first, second, _ = dispatched(database)
    assert runner(database).run(first)
    assert runner(database).run(second)
    steering(database).cancel(job)

    again = retried(database, job)
    missed = [1002, 1005, 1007, 1008, 1009]
    assert list(outcomes(database, again.id)) == missed
    assert (again.parent_id, again.state, again.reason, again.priority) == (job, JobState.QUEUED, "once more", 2)
    heal(database)
    work(database)
    assert state(database, again.id) == "succeeded"
    assert set(outcomes(database, again.id).values()) == {Outcome.CHANGED}
    assert archived(database, again.id)["chapter_progress"] == [(user, 1001) for user in missed]


def test_a_retry_resets_the_frozen_content_whatever_became_of_roles_and_courses(small: Database) -> None:
    holders_of_31 = ResetRequest(
        kind=Kind.TRAINING, content=ContentSelection(content_roles=(31,)), cutoff=datetime(2027, 3, 1, tzinfo=UTC)
    )
    job = submit(small, holders_of_31)
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.user_content_roles))
        connection.execute(delete(tables.content_role_courses))
        connection.execute(insert(tables.content_role_courses), [{"content_role_id": 31, "course_id": 102}])
        connection.execute(delete(tables.course_chapters).where(tables.course_chapters.c.chapter_id == 1002))
    again = retried(small, job)
    assert again.cutoff == job_of(small, job).cutoff == datetime(2027, 3, 1, tzinfo=UTC)
    assert list(outcomes(small, again.id)) == [11, 12]
    work(small)
    # Of course 101, completed by ada alone before the cut-off, with chapters 1001 and 1002 as they were.
    assert archived(small, again.id) == {
        "attempts": [1, 2, 3],
        "chapter_progress": [(11, 1001), (11, 1002)],
        "course_progress": [(11, 101), (11, 102)],
    }


def test_a_retry_goes_at_the_pace_that_the_job_had_last(small: Database) -> None:
    job = submit(small, chunk_size=2, max_rate=3)
    steering(small).set_pace(job, max_rate=1.5, priority=0)
    steering(small).cancel(job)
    again = retried(small, job)
    assert (again.max_rate, again.priority, again.chunk_size) == (1.5, 0, 2)


def test_a_retry_leaves_out_users_who_are_gone(small: Database, job: int) -> None:
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.users).where(tables.users.c.id == 14))
    assert list(outcomes(small, retried(small, job).id)) == [user for user in AT_NORTH if user != 14]


def test_a_retry_leaves_out_users_who_have_left_the_location(small: Database, job: int) -> None:
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(update(tables.users).where(tables.users.c.id == 12).values(location_id=2))
    assert list(outcomes(small, retried(small, job).id)) == [user for user in AT_NORTH if user != 12]


def test_a_retry_asked_for_by_four_at_once_and_once_more_later_is_one_job(
    small: Database, database_url: str, job: int
) -> None:
    steering(small).cancel(job)

    def ask(_: int) -> tuple[int, bool]:
        mine = Database(database_url)
        try:
            again, new = steering(mine).retry(job, RETRY)
            return again.id, new
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert {again for again, _ in answers} == {job + 1}
    assert sorted(new for _, new in answers) == [False, False, False, True]
    work(small)
    later, new = steering(small).retry(job, RETRY)
    assert (later.id, later.state, new) == (job + 1, JobState.SUCCEEDED, False)


def test_a_retry_with_nobody_left_is_refused(small: Database) -> None:
    job = submit(small, of_users([14]))
    steering(small).cancel(job)
    with small.write() as connection:
        connection.execute(delete(tables.users).where(tables.users.c.id == 14))
    with pytest.raises(Conflict, match=f"job {job} left nobody out who is still there"):
        retried(small, job)


def test_who_became_a_learner_neither_sees_nor_steers_the_jobs_that_it_submitted_about_others(
    small: Database, job: int
) -> None:
    set_job(small, job, actor_id=11, actor_login="ada")
    demoted = Administration(small, "ada")
    for call in (demoted.status, steering(small, "ada").cancel, lambda job: list(demoted.report(job))):
        with pytest.raises(NotFound):
            call(job)
    assert demoted.jobs() == []


@pytest.mark.parametrize("before", [*UNFINISHED, "pausing", "paused", "cancelling"])
def test_a_job_that_has_not_ended_cannot_be_retried(small: Database, job: int, before: str) -> None:
    put(small, job, before)
    with pytest.raises(Conflict, match=f"job {job} is {before}; cancel it, or wait for its end, before a retry"):
        retried(small, job)


def test_a_job_that_treated_every_user_cannot_be_retried(small: Database, job: int) -> None:
    work(small)
    with pytest.raises(Conflict, match=f"job {job} left nobody out who is still there; there is nobody to retry"):
        retried(small, job)


# Its pace.


def pace(database: Database, job: int) -> tuple[float | None, int]:
    found = job_of(database, job)
    return found.max_rate, found.priority


def test_the_pace_is_set_where_it_is_given_and_left_where_it_is_not(small: Database, job: int) -> None:
    steering(small).set_pace(job, max_rate=2.5, priority=None)
    assert pace(small, job) == (2.5, 1)
    steering(small).set_pace(job, max_rate=None, priority=2)
    assert pace(small, job) == (2.5, 2)


def test_a_faster_rate_holds_from_the_next_chunk_on_however_slow_the_job_was(database: Database) -> None:
    job = submit(database, of_users(fill_crowd(database, 20)), chunk_size=2, max_rate=0.01)
    assert ranges_of_dispatched(database) == [(0, 0)], "one user, and the next one in a hundred seconds"
    assert ranges_of_dispatched(database) == [(0, 0)]
    steering(database).set_pace(job, max_rate=1000, priority=None)
    assert ranges_of_dispatched(database)[:2] == [(0, 0), (1, 2)]


def test_a_slower_rate_holds_from_the_next_chunk_on(database: Database) -> None:
    job = submit(database, of_users(fill_crowd(database, 40)), chunk_size=1)
    assert len(ranges_of_dispatched(database)) == 16, "the window is full"
    steering(database).set_pace(job, max_rate=0.01, priority=None)
    for chunk in chunks_of(database):
        assert runner(database).run(chunk["id"])
    assert len(ranges_of_dispatched(database)) == 17
    assert len(ranges_of_dispatched(database)) == 17


def test_a_job_of_a_higher_priority_takes_the_next_free_places(database: Database) -> None:
    crowd = fill_crowd(database, 60)
    first, second = (submit(database, of_users(crowd), chunk_size=1) for _ in range(2))
    steering(database).set_pace(second, max_rate=None, priority=2)
    assert len(dispatched(database)) == 16
    assert (ranges_of(database, first), len(ranges_of(database, second))) == ([], 16)


def ranges_of_dispatched(database: Database) -> list[tuple[int, int]]:
    dispatched(database)
    return ranges_of(database)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_not_above_zero_is_refused(small: Database, job: int, rate: float) -> None:
    with pytest.raises(InputRefused, match="out of range"):
        steering(small).set_pace(job, max_rate=rate, priority=2)
    assert pace(small, job) == (None, 1)


def test_a_job_that_has_ended_has_no_pace_any_more(small: Database, job: int) -> None:
    work(small)
    with pytest.raises(Conflict, match=f"job {job} is succeeded and has no pace any more"):
        steering(small).set_pace(job, max_rate=1, priority=None)


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


# The breaker.


def finish(database: Database, chunk_id: int, failed: int) -> None:
    """Record a chunk as done, its first users failed and the others unchanged, as if it had run."""
    held = claim(database, chunk_id)
    users = list(range(held.users))
    with database.write() as connection:
        assert chunk_rows.finish_if_fence_holds(connection, held, users, {}, dict.fromkeys(users[:failed], "cursed"))


def submit_halves(database: Database, learners: int = 1101) -> int:
    """Submit a job whose first two chunks hold 501 users each."""
    job = submit(database, of_users(fill_crowd(database, learners)), chunk_size=501)
    set_job(database, job, state="running")
    return job


def test_a_job_in_which_more_than_half_of_a_thousand_failed_is_broken_off_and_can_be_retried(
    database: Database,
) -> None:
    job = submit_halves(database)
    first, second, third = dispatched(database)
    finish(database, first, failed=501)
    poison(database, [1502])  # the first user of the second chunk
    claim(database, third)
    assert runner(database).run(second)
    assert state(database, job) == "cancelling"
    housekeeping(database)

    ended = job_of(database, job)
    assert ended.state is JobState.FAILED
    assert ended.state_reason == "502 of the first 1,002 users failed; it stopped to do no more harm"
    assert ranges_of(database, job) == [(0, 500), (501, 1001)], "nothing is in flight"
    assert not runner(database).run(third)
    again = retried(database, job)
    assert list(outcomes(database, again.id)) == [*range(1001, 1503), *range(2003, 2102)]


@pytest.mark.parametrize(
    ("failed_of_first", "failed_of_second"), [(501, 0), (500, 1), (0, 0)], ids=["half", "half of both", "none"]
)
def test_a_job_in_which_half_or_fewer_failed_goes_on(
    database: Database, failed_of_first: int, failed_of_second: int
) -> None:
    job = submit_halves(database)
    first, second, third = dispatched(database)
    finish(database, first, failed=failed_of_first)
    finish(database, second, failed=failed_of_second)
    housekeeping(database)
    assert state(database, job) == "running"
    finish(database, third, failed=0)
    housekeeping(database)
    assert job_of(database, job).state.ended
    assert state(database, job) != "failed"


def test_fewer_than_a_thousand_users_are_not_enough_to_judge_by(database: Database) -> None:
    job = submit_halves(database)
    finish(database, dispatched(database)[0], failed=501)
    housekeeping(database)
    assert state(database, job) == "running"


def test_a_job_that_was_broken_off_has_failed_although_its_last_chunks_went_well(postgres: Database) -> None:
    job = submit_halves(postgres, 1503)
    first, second, third = dispatched(postgres)
    finish(postgres, first, failed=501)
    held = claim(postgres, third)
    with postgres.write("REPEATABLE READ") as connection:
        assert chunk_rows.lock_if_fence_holds(connection, held)
        finish(postgres, second, failed=1)
        for _ in range(3):
            housekeeping(postgres)
            assert state(postgres, job) == "cancelling"
        assert chunk_rows.finish_if_fence_holds(connection, held, list(range(501)), {}, {})
    housekeeping(postgres)
    ended = job_of(postgres, job)
    assert ended.state is JobState.FAILED
    assert ended.state_reason == "502 of the first 1,002 users failed; it stopped to do no more harm"


def test_a_job_that_somebody_cancels_is_cancelled_however_many_failed(database: Database) -> None:
    job = submit_halves(database)
    for chunk in dispatched(database)[:2]:
        finish(database, chunk, failed=501)
    steering(database).cancel(job)
    assert (state(database, job), job_of(database, job).state_reason) == ("cancelled", None)
