"""The engine of a recorded job: its kind, its frozen content, its cut-off."""

from sqlalchemy import Connection

from jobs.model import Job
from jobs.records.engine import ResetEngine
from jobs.store import job_rows


def engine_of(connection: Connection, job: Job) -> ResetEngine:
    """Give the engine for a job's frozen content."""
    content = job_rows.load_content(connection, job.id)
    return ResetEngine(job.kind, content, job.cutoff, connection.dialect.name)
