"""Run one chunk: claim it, reset its users and record their outcomes in one transaction.

The database decides whether a chunk may run and whether it may commit; a message is only a hint that there is
something to claim. A chunk that loses its fence leaves nothing behind.
"""

import os
from functools import lru_cache
from typing import Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs.database import Database, Isolation, first_line, limit_statements
from jobs.model import Job, JobState
from jobs.records.engine import RecordsMoved, ResetEngine, UserRows
from jobs.store import chunk_rows, job_rows
from jobs.store.chunk_rows import Claim, Owner

log = structlog.get_logger()

CONFLICTS_BEFORE_RELEASE = 5


class Limits(Protocol):
    """The settings that bound a chunk."""

    @property
    def chunk_deadline_seconds(self) -> float:
        """How long a claim holds."""

    @property
    def statement_timeout_seconds(self) -> float:
        """How long one statement may take, and a transaction may idle."""


class ChunkRunner:
    """Runs chunks on behalf of one worker process.

    Args:
        database: where the jobs and the records are.
        worker_id: the worker whose lease covers these chunks.
        limits: the times that bound a chunk.

    """

    def __init__(self, database: Database, worker_id: str, limits: Limits) -> None:
        self._database = database
        self._owner = Owner(worker_id=worker_id, process_id=os.getpid())
        self._limits = limits
        self._engine_of = lru_cache(maxsize=32)(self._load_engine)

    def run(self, chunk_id: int) -> bool:
        """Run a chunk if it is there to be claimed; tell whether it is done now."""
        claim = self._claim(chunk_id)
        if claim is None:
            log.info("chunk not claimed", chunk=chunk_id)
            return False
        try:
            done = self._run_until_stable(claim)
        except Exception:
            self._release(claim)
            raise
        if done:
            with self._database.write() as connection:
                ended = job_rows.finish_if_complete(connection, claim.job_id)
            log.info("chunk done", job=claim.job_id, chunk=chunk_id, job_ended=ended)
        return done

    def _claim(self, chunk_id: int) -> Claim | None:
        with self._database.write() as connection:
            claim = chunk_rows.claim_if_dispatched(
                connection, chunk_id, self._owner, self._limits.chunk_deadline_seconds
            )
            if claim is not None:
                job_rows.set_state_if_allowed(connection, claim.job_id, JobState.RUNNING, before=JobState.QUEUED)
        return claim

    def _run_until_stable(self, claim: Claim) -> bool:
        """Run the transaction, again after a conflict with somebody who changed the same records meanwhile."""
        engine = self._engine_of(claim.job_id)
        for conflicts in range(CONFLICTS_BEFORE_RELEASE):
            try:
                return self._run_once(claim, engine)
            except (OperationalError, RecordsMoved) as error:
                if not (isinstance(error, RecordsMoved) or is_conflict(error)):
                    raise
                log.info("chunk conflicts", job=claim.job_id, chunk=claim.chunk_id, conflicts=conflicts + 1)
        self._release(claim)
        return False

    def _run_once(self, claim: Claim, engine: ResetEngine) -> bool:
        isolation: Isolation = "SERIALIZABLE" if engine.derives_parents else "REPEATABLE READ"
        with self._database.write(isolation) as connection:
            limit_statements(connection, self._limits.statement_timeout_seconds)
            if not chunk_rows.lock_if_fence_holds(connection, claim):
                log.warning("chunk fenced off", job=claim.job_id, chunk=claim.chunk_id)
                return False
            users = job_rows.load_targets(connection, claim.job_id, claim.first_ordinal, claim.last_ordinal)
            changed, failed = reset_users(connection, engine, claim.job_id, users)
            if not chunk_rows.finish_if_fence_holds(connection, claim, users, changed, failed):
                raise AssertionError(f"chunk {claim.chunk_id} lost its fence inside its own transaction")
        return True

    def _release(self, claim: Claim) -> None:
        with self._database.write() as connection:
            chunk_rows.release_if_fence_holds(connection, claim)

    def _load_engine(self, job_id: int) -> ResetEngine:
        with self._database.read() as connection:
            job = job_rows.find_job(connection, job_id)
            if job is None:
                raise LookupError(f"a chunk belongs to job {job_id}, which is not there")
            return engine_of(connection, job)


def engine_of(connection: Connection, job: Job) -> ResetEngine:
    """Give the engine for a job's frozen content."""
    content = job_rows.load_content(connection, job.id)
    return ResetEngine(job.kind, content, job.cutoff, connection.dialect.name)


def reset_users(
    connection: Connection, engine: ResetEngine, job_id: int, users: list[int]
) -> tuple[UserRows, dict[int, str]]:
    """Reset users within the caller's transaction; find and leave out those whose own data make it fail.

    Returns:
        the rows of each changed user, and for each user that failed the database's reason.

    """
    try:
        with connection.begin_nested():
            return engine.apply(connection, job_id, users), {}
    except DBAPIError as error:
        if isinstance(error, OperationalError):  # the database's trouble, not that of a user's data
            raise
        if len(users) == 1:
            return {}, {users[0]: first_line(error)}
    middle = len(users) // 2
    changed, failed = reset_users(connection, engine, job_id, users[:middle])
    more_changed, more_failed = reset_users(connection, engine, job_id, users[middle:])
    return changed | more_changed, failed | more_failed


_CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock


def is_conflict(error: DBAPIError) -> bool:
    """Tell whether a transaction lost against another one and will do when it is run again."""
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS
