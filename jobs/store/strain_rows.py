"""Every statement about the database's load: what it shows of it, and the pace that was decided for it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, text, update

from jobs.database import read_now
from jobs.model import ChunkState
from jobs.store.tables import chunks, jobs, paces
from jobs.strain import Chunk, Pace, Reading

_RECENT = timedelta(seconds=10)
_LATEST_CHUNKS = 100
_DATABASE = "database"

# This program's own sessions bear one name; whoever may not see what others do still sees who waits for a lock.
_LOCK_WAITS = """
    SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity AS a USING (pid)
    WHERE NOT granted AND a.datname = current_database()
    AND a.application_name <> current_setting('application_name')
    AND waitstart <= clock_timestamp() - interval '0.5 seconds'
"""
# Within a savepoint they wait for its own transaction id, which is not the one of the whole.
_WAIT_FOR_US = """
    SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity AS a USING (pid)
    WHERE NOT granted AND transactionid IN (
        SELECT transactionid FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND locktype = 'transactionid'
    )
    AND a.application_name <> current_setting('application_name')
"""
_ACTIVE_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE state = 'active' AND backend_type = 'client backend' AND datname = current_database()
    AND application_name <> current_setting('application_name')
"""
_LAG_SECONDS = "SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) FROM pg_stat_replication"


def read_load(connection: Connection) -> Reading:
    """Read what the database shows of its load; SQLite shows only how long our own chunks take."""
    of_jobs = _latest_chunks(connection)
    if connection.dialect.name != "postgresql":
        return Reading(chunks=of_jobs)
    return Reading(
        lock_waits=connection.execute(text(_LOCK_WAITS)).scalar_one(),
        active_sessions=connection.execute(text(_ACTIVE_SESSIONS)).scalar_one(),
        lag_seconds=float(connection.execute(text(_LAG_SECONDS)).scalar_one()),
        chunks=of_jobs,
    )


def count_others_who_wait(connection: Connection) -> int:
    """Count the sessions of others that wait for this transaction's end; SQLite cannot tell.

    To be asked before a savepoint is released: that wakes them, and they wait again only when they get to it.
    """
    if connection.dialect.name != "postgresql":
        return 0
    count: int = connection.execute(text(_WAIT_FOR_US)).scalar_one()
    return count


def read_pace(connection: Connection) -> Pace:
    """Read the pace that was decided last; full again where whoever decides has been away for long."""
    row = connection.execute(select(paces)).one_or_none()
    now = read_now(connection)
    if row is None or row.until < now:
        return Pace(since=now)
    return Pace(level=row.level, sign=row.sign, strained=row.strained, since=row.since)


def write_pace(connection: Connection, pace: Pace, until: datetime) -> None:
    """Note the pace; it holds until then, unless it is noted again."""
    values = asdict(pace) | {"until": until}
    if connection.execute(update(paces).values(values)).rowcount == 0:
        connection.execute(insert(paces).values(name=_DATABASE, **values))


def _latest_chunks(connection: Connection) -> tuple[tuple[Sequence[Chunk], Sequence[Chunk]], ...]:
    """Read the chunks of the last seconds, and those before, of each job that had any."""
    since = read_now(connection) - _RECENT
    at_work = (
        select(chunks.c.job_id)
        .join(jobs, jobs.c.id == chunks.c.job_id)
        .where(jobs.c.finished_at.is_(None), chunks.c.done_at >= since)
        .distinct()
    )
    return tuple(_chunks_of(connection, job_id, since) for job_id in connection.execute(at_work).scalars().all())


def _chunks_of(connection: Connection, job_id: int, since: datetime) -> tuple[list[Chunk], list[Chunk]]:
    c = chunks.c
    query = (
        select(c.first_ordinal, c.last_ordinal, c.claimed_at, c.done_at)
        .where(c.job_id == job_id, c.state == ChunkState.DONE.value, c.claimed_at.is_not(None))
        .order_by(c.done_at.desc())
        .limit(_LATEST_CHUNKS)
    )
    found: tuple[list[Chunk], list[Chunk]] = ([], [])
    for row in connection.execute(query):
        users, seconds = row.last_ordinal - row.first_ordinal + 1, (row.done_at - row.claimed_at).total_seconds()
        found[row.done_at < since].append((users, seconds))
    return found
