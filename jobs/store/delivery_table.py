"""The table of results on their way: one row for each target of a job, written with the job.

A row becomes due by its job's end and by nothing else, so whatever ends a job owes its receivers nothing more.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text

from jobs.delivery import DeliveryState
from jobs.schema import Id, UtcDateTime, metadata

_STATES = ", ".join(f"'{state.value}'" for state in DeliveryState)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("target", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("due_at", UtcDateTime),
    Column("claimed_until", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("error", Text),
    UniqueConstraint("job_id", "target"),
    UniqueConstraint("message_id"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_at"),
    CheckConstraint("tries >= 0", name="tries"),
    Index(
        "ix_deliveries_waiting",
        "job_id",
        postgresql_where=text("state = 'waiting'"),
        sqlite_where=text("state = 'waiting'"),
    ),
    sqlite_autoincrement=True,
)
