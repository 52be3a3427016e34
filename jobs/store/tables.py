"""The job tables: a job, its frozen targets and content, its chunks, and the workers that run them.

The CHECKs repeat the invariants of the domain, so that no statement, and nobody at a database prompt, can
leave a job in a state that the code does not know.
"""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from jobs.model import ChunkState, JobState, Kind
from jobs.schema import Id, UtcDateTime, metadata


def _quoted(values: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Let a column hold these values alone."""
    return CheckConstraint(f"{column} IN ({_quoted(values)})", name=column)


_ENDED = _quoted(state for state in JobState if state.ended)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("actor_id", BigInteger, nullable=False),
    Column("actor_login", Text, nullable=False),
    Column("location_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("parent_id", Id, ForeignKey("jobs.id")),
    Column("cutoff", UtcDateTime),
    Column("priority", Integer, nullable=False),
    Column("max_rate", Float),
    Column("chunk_size", Integer),
    Column("not_before", UtcDateTime),
    Column("windows", Text),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Column("closes_at", UtcDateTime),
    Column("idempotency_key", Text),
    Column("words_digest", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("users_total", Integer, nullable=False),
    Column("next_ordinal", Integer, nullable=False),
    Column("next_dispatch_at", UtcDateTime),
    UniqueConstraint("actor_id", "idempotency_key"),
    one_of("kind", Kind),
    one_of("state", JobState),
    CheckConstraint(f"(state IN ({_ENDED})) = (finished_at IS NOT NULL)", name="finished_at"),
    CheckConstraint("reason <> ''", name="reason"),
    CheckConstraint("users_total >= 0", name="users_total"),
    CheckConstraint("next_ordinal BETWEEN 0 AND users_total", name="next_ordinal"),
    CheckConstraint("max_rate > 0", name="max_rate"),
    CheckConstraint("chunk_size > 0", name="chunk_size"),
    Index(
        "ix_jobs_unfinished",
        "state",
        postgresql_where=text("finished_at IS NULL"),
        sqlite_where=text("finished_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

job_targets = Table(
    "job_targets",
    metadata,
    Column("job_id", Id, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
)

job_courses = Table(
    "job_courses",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
    Column("course_id", Id, primary_key=True, autoincrement=False),
)

job_chapters = Table(
    "job_chapters",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
    Column("chapter_id", Id, primary_key=True, autoincrement=False),
    Column("direct", Boolean, nullable=False),
)

job_course_chapters = Table(
    "job_course_chapters",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
    Column("course_id", Id, primary_key=True, autoincrement=False),
    Column("chapter_id", Id, primary_key=True, autoincrement=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("first_ordinal", Integer, nullable=False),
    Column("last_ordinal", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("worker_id", Text),
    Column("process_id", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),
    Column("claimed_at", UtcDateTime),
    Column("deadline", UtcDateTime),
    Column("done_at", UtcDateTime),
    Column("users_changed", Integer, nullable=False, server_default="0"),
    Column("users_unchanged", Integer, nullable=False, server_default="0"),
    Column("users_failed", Integer, nullable=False, server_default="0"),
    Column("attempts_erased", BigInteger, nullable=False, server_default="0"),
    Column("chapters_reset", BigInteger, nullable=False, server_default="0"),
    Column("courses_reset", BigInteger, nullable=False, server_default="0"),
    Column("collisions", Integer, nullable=False, server_default="0"),
    Column("outcomes", Text),
    UniqueConstraint("job_id", "first_ordinal"),
    one_of("state", ChunkState),
    CheckConstraint("first_ordinal BETWEEN 0 AND last_ordinal", name="ordinals"),
    CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name="done_at"),
    CheckConstraint("(state = 'done') = (outcomes IS NOT NULL)", name="outcomes"),
    CheckConstraint("state <> 'claimed' OR (worker_id IS NOT NULL AND deadline IS NOT NULL)", name="claimed"),
    CheckConstraint(
        "state <> 'done' OR users_changed + users_unchanged + users_failed = last_ordinal - first_ordinal + 1",
        name="users",
    ),
    Index(
        "ix_chunks_in_flight",
        "state",
        postgresql_where=text("state <> 'done'"),
        sqlite_where=text("state <> 'done'"),
    ),
    Index(
        "ix_chunks_collisions",
        "job_id",
        "done_at",
        postgresql_where=text("collisions > 0"),
        sqlite_where=text("collisions > 0"),
    ),
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("until", UtcDateTime),
)

standings = Table(
    "standings",
    metadata,
    Column("actor_id", Id, primary_key=True, autoincrement=False),
    Column("location_id", BigInteger, nullable=False),
)

blackouts = Table(
    "blackouts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("zone", Text, nullable=False),
    Column("location_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("actor_login", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("reason <> ''", name="reason"),
    sqlite_autoincrement=True,
)

paces = Table(
    "paces",
    metadata,
    Column("name", Text, primary_key=True),
    Column("level", Integer, nullable=False),
    Column("sign", Text),
    Column("strained", Boolean, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)
