"""Schedules and their runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("owner_login", sa.Text(), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=True),
        sa.Column("timing", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("max_users", sa.Integer(), nullable=True),
        sa.Column("notice_seconds", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("next_fire_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stepped_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'active') = (next_fire_at IS NOT NULL)", name=op.f("ck_schedules_next_fire_at")),
        sa.CheckConstraint("catch_up IN ('none', 'last', 'all')", name=op.f("ck_schedules_catch_up")),
        sa.CheckConstraint("overlap IN ('skip', 'queue')", name=op.f("ck_schedules_overlap")),
        sa.CheckConstraint("state IN ('active', 'paused', 'ended')", name=op.f("ck_schedules_state")),
        sa.CheckConstraint("max_users >= 0", name=op.f("ck_schedules_max_users")),
        sa.CheckConstraint("notice_seconds > 0", name=op.f("ck_schedules_notice_seconds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "schedule_runs",
        sa.Column("schedule_id", _ID, autoincrement=False, nullable=False),
        sa.Column("fire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(outcome IN ('submitted', 'held')) = (job_id IS NOT NULL)", name=op.f("ck_schedule_runs_job_id")
        ),
        sa.CheckConstraint(
            "outcome IN ('submitted', 'nothing') OR reason IS NOT NULL", name=op.f("ck_schedule_runs_reason")
        ),
        sa.CheckConstraint(
            "outcome IN ('waiting', 'submitted', 'nothing', 'skipped', 'held', 'failed')",
            name=op.f("ck_schedule_runs_outcome"),
        ),
        sa.CheckConstraint("fire_time <= last_time", name=op.f("ck_schedule_runs_last_time")),
        sa.CheckConstraint("times > 0", name=op.f("ck_schedule_runs_times")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_schedule_runs_job_id")),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule_id")),
        sa.PrimaryKeyConstraint("schedule_id", "fire_time", name=op.f("pk_schedule_runs")),
    )
    op.create_index("ix_schedule_runs_job_id", "schedule_runs", ["job_id"], unique=False)
    op.create_index(
        "ix_schedule_runs_waiting",
        "schedule_runs",
        ["schedule_id"],
        unique=True,
        postgresql_where=sa.text("outcome = 'waiting'"),
        sqlite_where=sa.text("outcome = 'waiting'"),
    )
