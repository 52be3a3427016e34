"""Handles to steer jobs, to run, claim and dispatch their chunks, and to read what became of their users."""

from datetime import UTC, datetime

from jobs import dispatch
from jobs.database import Database
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.model import Job, Outcome
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import chunk_rows
from jobs.store.chunk_rows import Claim, Owner
from tests.small import ARCHIVED, Broker, job_of, set_job

SETTINGS = Settings(window=16)
FAR = datetime(2999, 1, 1, tzinfo=UTC)
NOTHING: dict[str, list[object]] = {table: [] for table in ARCHIVED}
RETRY = JobOptions(reason="once more")
UNFINISHED = ("queued", "running", "holding")
ENDED = ("succeeded", "completed_with_failures", "failed", "cancelled", "rejected")


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


def retried(database: Database, job: int, login: str = "root") -> Job:
    again, new = steering(database, login).retry(job, RETRY)
    assert new
    return again


def put(database: Database, job: int, into: str) -> None:
    """Put a job into a state by hand."""
    set_job(database, job, state=into, finished_at=FAR if into in ENDED else None)
