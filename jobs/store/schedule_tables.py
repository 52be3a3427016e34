"""The tables of schedules and of what became of each of their times."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from jobs.schedule import CatchUp, Overlap, RunOutcome, ScheduleState
from jobs.schema import Id, UtcDateTime, metadata
from jobs.store.tables import one_of

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("owner_id", BigInteger, nullable=False),
    Column("owner_login", Text, nullable=False),
    Column("location_id", BigInteger),
    Column("timing", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("max_users", Integer),
    Column("notice_seconds", Float),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("next_fire_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("stepped_at", UtcDateTime, nullable=False),
    one_of("catch_up", CatchUp),
    one_of("overlap", Overlap),
    one_of("state", ScheduleState),
    CheckConstraint("(state = 'active') = (next_fire_at IS NOT NULL)", name="next_fire_at"),
    CheckConstraint("max_users >= 0", name="max_users"),
    CheckConstraint("notice_seconds > 0", name="notice_seconds"),
    sqlite_autoincrement=True,
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule_id", Id, ForeignKey("schedules.id"), primary_key=True, autoincrement=False),
    Column("fire_time", UtcDateTime, primary_key=True),
    Column("last_time", UtcDateTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("reason", Text),
    Column("job_id", Id, ForeignKey("jobs.id")),
    Column("recorded_at", UtcDateTime, nullable=False),
    one_of("outcome", RunOutcome),
    CheckConstraint("times > 0", name="times"),
    CheckConstraint("fire_time <= last_time", name="last_time"),
    CheckConstraint("(outcome IN ('submitted', 'held')) = (job_id IS NOT NULL)", name="job_id"),
    CheckConstraint("outcome IN ('submitted', 'nothing') OR reason IS NOT NULL", name="reason"),
    Index(
        "ix_schedule_runs_waiting",
        "schedule_id",
        unique=True,
        postgresql_where=text("outcome = 'waiting'"),
        sqlite_where=text("outcome = 'waiting'"),
    ),
    Index("ix_schedule_runs_job_id", "job_id"),
)
