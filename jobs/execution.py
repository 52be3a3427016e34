"""Run one chunk: claim it, reset its users and record their outcomes in one transaction.

The database decides whether a chunk may run and whether it may commit; a message is only a hint that there is
something to claim. A chunk that loses its fence leaves nothing behind.
"""

import os
import random
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jobs.chunking import rest_seconds
from jobs.database import Database, first_line, is_in_transaction, prepare_statements
from jobs.errors import DatabaseUnavailable
from jobs.frozen import engine_of
from jobs.holding import seconds_needed
from jobs.model import JobState
from jobs.records.engine import RecordsMoved, ResetEngine, UserRows
from jobs.settling import may_be_due, settle
from jobs.store import chunk_rows, job_rows, outcome_rows, strain_rows
from jobs.store.chunk_rows import Claim, Owner
from jobs.trouble import is_conflict, is_of_a_user, is_outage

log = structlog.get_logger()

_CONFLICTS_BEFORE_LOCKING = 2
_MOST_CONFLICTS = 8
_MOST_RETRIES_OF_ONE_USER = 5
_LOOKS_WHILE_RESTING_SECONDS = 0.25


class Limits(Protocol):
    """The settings that bound a chunk."""

    @property
    def chunk_deadline_seconds(self) -> float:
        """How long a claim holds."""

    @property
    def chunk_size_start(self) -> int:
        """The most users of a chunk that locks their records before it looks at them."""

    @property
    def chunk_seconds(self) -> float:
        """The time that a chunk should take."""

    @property
    def chunk_hard_limit_seconds(self) -> int:
        """How long the process that runs a chunk may be busy with it before it is replaced."""

    @property
    def gentle_share(self) -> float:
        """Of its time a process works on a job while others who write are in its way."""

    @property
    def statement_timeout_seconds(self) -> float:
        """How long one statement may take, and a transaction may idle."""


class Closed(Exception):
    """The job's closing came while the chunk ran: nothing of it may commit."""


class ChunkRunner:
    """Runs chunks on behalf of one worker process.

    Args:
        database: where the jobs and the records are.
        worker_id: the worker whose lease covers these chunks.
        limits: the times that bound a chunk.
        sleep: waits so many seconds between two tries.

    """

    def __init__(
        self, database: Database, worker_id: str, limits: Limits, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._database = database
        self._sleep = sleep
        self._owner = Owner(worker_id=worker_id, process_id=os.getpid())
        self._limits = limits
        self._latest: tuple[int, float] | None = None
        self._outages = 0
        self._engine_of = lru_cache(maxsize=32)(self._load_engine)

    def run(self, chunk_id: int) -> bool:
        """Run a chunk if it is there to be claimed; tell whether it is done now."""
        self._latest = None
        claim = self._claim(chunk_id)
        if claim is None:
            log.info("chunk not claimed", chunk=chunk_id)
            return False
        began = time.monotonic()
        try:
            done = self._run_until_stable(claim)
        except Exception as error:
            surprise = None if isinstance(error, DBAPIError | Closed) else error  # then the place in the code matters
            log.warning("chunk failed", job=claim.job_id, chunk=claim.chunk_id, error=_reason(error), exc_info=surprise)
            self._hand_back(claim, error)
            return False
        log.info("chunk done" if done else "chunk fenced off", job=claim.job_id, chunk=chunk_id)
        self._latest = (claim.job_id, time.monotonic() - began) if done else None
        self._outages = 0
        return done

    def rest(self) -> None:
        """Rest after the latest chunk if learners were in its job's way, until a chunk of a higher priority waits.

        That may be the chunk of a learner's own job, who waits for it.
        """
        if self._latest is None:
            return
        job_id, took = self._latest
        if self._is_in_the_way(job_id):
            # Celery's limit counts the rest in.
            seconds = min(
                rest_seconds(took, self._limits.gentle_share), self._limits.chunk_hard_limit_seconds / 2 - took
            )
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0 and not self._more_urgent_waits(job_id):
                self._sleep(min(left, _LOOKS_WHILE_RESTING_SECONDS))

    def _claim(self, chunk_id: int) -> Claim | None:
        needed = seconds_needed(self._limits.chunk_seconds)
        with self._database.write() as connection:
            claim = chunk_rows.claim_if_dispatched(
                connection, chunk_id, self._owner, self._limits.chunk_deadline_seconds, needed
            )
            if claim is None or claim.chunk_id != chunk_id:
                # A more urgent one goes first, or its job stands still: the chunk of this message needs another one.
                chunk_rows.mark_unpublished(connection, [chunk_id])
            if claim is not None and claim.begins_job:
                job_rows.set_state_if_allowed(connection, claim.job_id, JobState.RUNNING, before=JobState.QUEUED)
        return claim

    def _run_until_stable(self, claim: Claim) -> bool:
        """Run the transaction, again after a conflict with somebody who changed the same records meanwhile."""
        engine = self._engine_of(claim.job_id)
        for conflicts in range(_MOST_CONFLICTS):
            try:
                return self._run_once(claim, engine, conflicts)
            except (DBAPIError, RecordsMoved) as error:
                if not (isinstance(error, RecordsMoved) or is_conflict(error)):
                    raise
                log.info("chunk conflicts", job=claim.job_id, chunk=claim.chunk_id, conflicts=conflicts + 1)
                self._sleep(_jitter(conflicts))
        return self._run_once(claim, engine, _MOST_CONFLICTS)

    def _run_once(self, claim: Claim, engine: ResetEngine, conflicts: int) -> bool:
        locks_first = conflicts >= _CONFLICTS_BEFORE_LOCKING
        with self._database.write("READ COMMITTED" if locks_first else "REPEATABLE READ") as connection:
            prepare_statements(connection, self._limits.statement_timeout_seconds, claim.deadline)
            done = chunk_rows.lock_if_fence_holds(connection, claim)
            if done:
                if locks_first:  # for its whole time: so it had better be short
                    claim = chunk_rows.keep_first(connection, claim, self._limits.chunk_size_start)
                users = job_rows.load_targets(connection, claim.job_id, claim.first_ordinal, claim.last_ordinal)
                if locks_first:
                    engine.lock(connection, users)
                changed, failed, waiting = reset_users(connection, engine, claim.job_id, users)
                collisions = conflicts + waiting
                if not chunk_rows.finish_if_fence_holds(connection, claim, users, changed, failed, collisions):
                    raise Closed(f"chunk {claim.chunk_id} was not done when its job's window closed")
        if done:
            self._settle(claim, count_failures=bool(failed))
        else:
            self._release(claim)
        return done

    def _settle(self, claim: Claim, *, count_failures: bool) -> None:
        with self._database.read() as connection:
            job = job_rows.find_job(connection, claim.job_id)
        if job is not None and (count_failures or may_be_due(job)):
            with self._database.write() as connection:
                _settle_job(connection, claim.job_id)

    def _is_in_the_way(self, job_id: int) -> bool:
        """Tell whether others who write were in a job's way lately, which is neither urgent nor of a fixed pace."""
        with self._database.read() as connection:
            if not outcome_rows.any_recent_collision(connection, job_id):
                return False
            job = job_rows.find_job(connection, job_id)
            if job is None or job.state is not JobState.RUNNING:
                return False
            return not job.urgent and job.chunk_size is None

    def _more_urgent_waits(self, job_id: int) -> bool:
        with self._database.read() as connection:
            return chunk_rows.any_more_urgent_waits(connection, job_id)

    def _release(self, claim: Claim) -> None:
        """Hand a chunk back that may not run, so that nothing waits for it."""
        with self._database.write() as connection:
            chunk_rows.release_if_fence_holds(connection, claim, retries=0)
            _settle_job(connection, claim.job_id)

    def _hand_back(self, claim: Claim, error: Exception) -> None:
        """Let a chunk be run again: whole, then halved, until its only user is given up as failed.

        Trouble of the database that no user's data can cause counts for nothing, nor does its job's closing. Tries
        until the database takes it, or until this process is replaced for being overdue.
        """
        self._outages = self._outages + 1 if is_outage(error) else 0
        of_chunk = not isinstance(error, Closed) and not self._outages
        self._sleep(_jitter(max(claim.retries, self._outages)))
        for attempt in count():
            try:
                with self._database.write() as connection:
                    counts = 1 if of_chunk and not chunk_rows.is_closed(connection, claim.job_id) else 0
                    if counts and claim.users == 1 and claim.retries + counts >= _MOST_RETRIES_OF_ONE_USER:
                        chunk_rows.fail_if_fence_holds(connection, claim, _reason(error))
                    else:
                        halved = claim.retries + counts > 1 and claim.users > 1
                        chunk_rows.release_if_fence_holds(connection, claim, retries=counts, halved=halved)
                    _settle_job(connection, claim.job_id)
                break
            except (DBAPIError, DatabaseUnavailable):
                log.warning("database out of reach", job=claim.job_id, chunk=claim.chunk_id)
                self._sleep(_jitter(attempt))

    def _load_engine(self, job_id: int) -> ResetEngine:
        with self._database.read() as connection:
            job = job_rows.find_job(connection, job_id)
            if job is None:
                raise LookupError(f"a chunk belongs to job {job_id}, which is not there")
            return engine_of(connection, job)


def _settle_job(connection: Connection, job_id: int) -> None:
    job = job_rows.find_job(connection, job_id)
    if job is not None:
        settle(connection, job)


def reset_users(
    connection: Connection, engine: ResetEngine, job_id: int, users: list[int]
) -> tuple[UserRows, dict[int, str], int]:
    """Reset users within the caller's transaction; find and leave out those whose own data make it fail.

    Returns:
        the rows of each changed user, for each user that failed the reason, and how many sessions of others wait
        for what was changed.

    """
    try:
        with connection.begin_nested():
            return engine.apply(connection, job_id, users), {}, strain_rows.count_others_who_wait(connection)
    except Exception as error:
        if not (is_of_a_user(error) and is_in_transaction(connection)):
            raise
        if len(users) == 1:
            if not isinstance(error, DBAPIError):  # then the place in the code matters
                log.exception("user failed", job=job_id, user=users[0])
            return {}, {users[0]: _reason(error)}, 0
    middle = len(users) // 2
    changed, failed, waiting = reset_users(connection, engine, job_id, users[:middle])
    more_changed, more_failed, more_waiting = reset_users(connection, engine, job_id, users[middle:])
    return changed | more_changed, failed | more_failed, max(waiting, more_waiting)


def _jitter(times: int) -> float:
    """Seconds to wait before trying again: longer each time, never in step with others, at most about a second."""
    return random.uniform(0.5, 1.0) * min(1.0, 0.02 * 2.0**times)


def _reason(error: Exception) -> str:
    return first_line(error) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
