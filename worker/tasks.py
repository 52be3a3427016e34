"""The one task: run a chunk. It decodes, calls the domain and lets the next chunks follow at once."""

from functools import cache

import structlog
from sqlalchemy.exc import DBAPIError

from jobs import dispatch
from jobs.database import Database
from jobs.errors import DatabaseUnavailable
from jobs.execution import ChunkRunner
from jobs.store import lease_rows
from worker.app import app, settings
from worker.identity import worker_id
from worker.publishing import publish_chunk

log = structlog.get_logger()


@app.task(name="training_reset.run_chunk", Request="worker.receiving:ChunkRequest")  # type: ignore[untyped-decorator]
def run_chunk(chunk_id: int) -> None:
    """Run a chunk and see to it that others wait, so that a finished chunk starts the next, at once or after a rest."""
    runner().run(chunk_id)
    try:
        dispatch.refill(database(), settings, publish_chunk)
        runner().rest()
    except dispatch.PublishFailed as error:
        log.warning("broker out of reach; housekeeping will publish", error=str(error))
    except (DBAPIError, DatabaseUnavailable) as error:
        log.warning("database out of reach; housekeeping will dispatch", error=str(error).partition("\n")[0])


@cache
def database() -> Database:
    """Give this process's database."""
    return Database(settings.database, settings.database_busy_seconds, settings.statement_timeout_seconds)


@cache
def runner() -> ChunkRunner:
    """Give this process's runner of chunks; its worker counts as alive from now on.

    Its housekeeper may not have come so far, and what it claims would be taken for a dead worker's.
    """
    with database().write() as connection:
        lease_rows.announce_worker(connection, worker_id(), settings.lease_seconds)
    return ChunkRunner(database(), worker_id(), settings)


def forget_inherited() -> None:
    """After a fork: use no connection of the parent's, and run chunks under this process's id."""
    if database.cache_info().currsize:
        database().forget_connections()
    database.cache_clear()
    runner.cache_clear()
