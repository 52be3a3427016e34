# ruff: noqa: E501 - the CHECKs of the tables, each in one line
"""The record tables, their archive twins and the job tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "archive_attempts",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("chapter_id", _ID, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
    )
    op.create_index(
        "ix_archive_attempts_job_id_user_id",
        "archive_attempts",
        ["job_id", "user_id"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_table(
        "archive_chapter_progress",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("chapter_id", _ID, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("position_seconds", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "ix_archive_chapter_progress_job_id_user_id",
        "archive_chapter_progress",
        ["job_id", "user_id"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_table(
        "archive_course_progress",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("course_id", _ID, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "ix_archive_course_progress_job_id_user_id",
        "archive_course_progress",
        ["job_id", "user_id"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_table(
        "categories",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
    )
    op.create_table(
        "chapters",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chapters")),
    )
    op.create_table(
        "content_roles",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_roles")),
    )
    op.create_table(
        "job_targets",
        sa.Column("job_id", _ID, autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_job_targets")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("actor_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_login", sa.Text(), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parent_id", _ID, nullable=True),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_rate", sa.Float(), nullable=True),
        sa.Column("chunk_size", sa.Integer(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("words_digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("users_total", sa.Integer(), nullable=False),
        sa.Column("next_ordinal", sa.Integer(), nullable=False),
        sa.Column("next_dispatch_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'completed_with_failures', 'failed', 'cancelled', 'rejected')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished_at"),
        ),
        sa.CheckConstraint("kind IN ('training', 'in_progress')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_jobs_reason")),
        sa.CheckConstraint(
            "state IN ('awaiting_approval', 'queued', 'holding', 'running', 'pausing', 'paused', 'cancelling', 'succeeded', 'completed_with_failures', 'failed', 'cancelled', 'rejected')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("chunk_size > 0", name=op.f("ck_jobs_chunk_size")),
        sa.CheckConstraint("max_rate > 0", name=op.f("ck_jobs_max_rate")),
        sa.CheckConstraint("next_ordinal BETWEEN 0 AND users_total", name=op.f("ck_jobs_next_ordinal")),
        sa.CheckConstraint("users_total >= 0", name=op.f("ck_jobs_users_total")),
        sa.ForeignKeyConstraint(["parent_id"], ["jobs.id"], name=op.f("fk_jobs_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("actor_id", "idempotency_key", name=op.f("uq_jobs_actor_id_idempotency_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_jobs_unfinished",
        "jobs",
        ["state"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "locations",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
    )
    op.create_table(
        "standings",
        sa.Column("actor_id", _ID, autoincrement=False, nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", name=op.f("pk_standings")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "chunks",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("first_ordinal", sa.Integer(), nullable=False),
        sa.Column("last_ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("process_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("users_changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("users_unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("users_failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts_erased", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chapters_reset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("courses_reset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcomes", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name=op.f("ck_chunks_done_at")),
        sa.CheckConstraint("(state = 'done') = (outcomes IS NOT NULL)", name=op.f("ck_chunks_outcomes")),
        sa.CheckConstraint(
            "state <> 'claimed' OR (worker_id IS NOT NULL AND deadline IS NOT NULL)", name=op.f("ck_chunks_claimed")
        ),
        sa.CheckConstraint(
            "state <> 'done' OR users_changed + users_unchanged + users_failed = last_ordinal - first_ordinal + 1",
            name=op.f("ck_chunks_users"),
        ),
        sa.CheckConstraint("state IN ('dispatched', 'claimed', 'done')", name=op.f("ck_chunks_state")),
        sa.CheckConstraint("first_ordinal BETWEEN 0 AND last_ordinal", name=op.f("ck_chunks_ordinals")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_chunks_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
        sa.UniqueConstraint("job_id", "first_ordinal", name=op.f("uq_chunks_job_id_first_ordinal")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_chunks_in_flight",
        "chunks",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state <> 'done'"),
        sqlite_where=sa.text("state <> 'done'"),
    )
    op.create_table(
        "content_role_chapters",
        sa.Column("content_role_id", _ID, autoincrement=False, nullable=False),
        sa.Column("chapter_id", _ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["chapter_id"], ["chapters.id"], name=op.f("fk_content_role_chapters_chapter_id")),
        sa.ForeignKeyConstraint(
            ["content_role_id"], ["content_roles.id"], name=op.f("fk_content_role_chapters_content_role_id")
        ),
        sa.PrimaryKeyConstraint("content_role_id", "chapter_id", name=op.f("pk_content_role_chapters")),
    )
    op.create_index(op.f("ix_content_role_chapters_chapter_id"), "content_role_chapters", ["chapter_id"], unique=False)
    op.create_table(
        "courses",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("category_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["category_id"], ["categories.id"], name=op.f("fk_courses_category_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_courses")),
    )
    op.create_index(op.f("ix_courses_category_id"), "courses", ["category_id"], unique=False)
    op.create_table(
        "job_chapters",
        sa.Column("job_id", _ID, autoincrement=False, nullable=False),
        sa.Column("chapter_id", _ID, autoincrement=False, nullable=False),
        sa.Column("direct", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_chapters_job_id")),
        sa.PrimaryKeyConstraint("job_id", "chapter_id", name=op.f("pk_job_chapters")),
    )
    op.create_table(
        "job_course_chapters",
        sa.Column("job_id", _ID, autoincrement=False, nullable=False),
        sa.Column("course_id", _ID, autoincrement=False, nullable=False),
        sa.Column("chapter_id", _ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_course_chapters_job_id")),
        sa.PrimaryKeyConstraint("job_id", "course_id", "chapter_id", name=op.f("pk_job_course_chapters")),
    )
    op.create_table(
        "job_courses",
        sa.Column("job_id", _ID, autoincrement=False, nullable=False),
        sa.Column("course_id", _ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_courses_job_id")),
        sa.PrimaryKeyConstraint("job_id", "course_id", name=op.f("pk_job_courses")),
    )
    op.create_table(
        "users",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location_id", _ID, nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.CheckConstraint("access IN ('learner', 'admin', 'super_user')", name=op.f("ck_users_access")),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_users_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("login", name=op.f("uq_users_login")),
    )
    op.create_index(op.f("ix_users_location_id"), "users", ["location_id"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("chapter_id", _ID, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["chapter_id"], ["chapters.id"], name=op.f("fk_attempts_chapter_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_attempts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_user_id_chapter_id", "attempts", ["user_id", "chapter_id"], unique=False)
    op.create_table(
        "chapter_progress",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("chapter_id", _ID, autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("position_seconds", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('not_started', 'in_progress', 'incomplete', 'completed')",
            name=op.f("ck_chapter_progress_status"),
        ),
        sa.CheckConstraint("position_seconds >= 0", name=op.f("ck_chapter_progress_position_seconds")),
        sa.ForeignKeyConstraint(["chapter_id"], ["chapters.id"], name=op.f("fk_chapter_progress_chapter_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_chapter_progress_user_id")),
        sa.PrimaryKeyConstraint("user_id", "chapter_id", name=op.f("pk_chapter_progress")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "content_role_courses",
        sa.Column("content_role_id", _ID, autoincrement=False, nullable=False),
        sa.Column("course_id", _ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["content_role_id"], ["content_roles.id"], name=op.f("fk_content_role_courses_content_role_id")
        ),
        sa.ForeignKeyConstraint(["course_id"], ["courses.id"], name=op.f("fk_content_role_courses_course_id")),
        sa.PrimaryKeyConstraint("content_role_id", "course_id", name=op.f("pk_content_role_courses")),
    )
    op.create_index(op.f("ix_content_role_courses_course_id"), "content_role_courses", ["course_id"], unique=False)
    op.create_table(
        "course_chapters",
        sa.Column("course_id", _ID, autoincrement=False, nullable=False),
        sa.Column("chapter_id", _ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_course_chapters_position")),
        sa.ForeignKeyConstraint(["chapter_id"], ["chapters.id"], name=op.f("fk_course_chapters_chapter_id")),
        sa.ForeignKeyConstraint(["course_id"], ["courses.id"], name=op.f("fk_course_chapters_course_id")),
        sa.PrimaryKeyConstraint("course_id", "chapter_id", name=op.f("pk_course_chapters")),
    )
    op.create_index(op.f("ix_course_chapters_chapter_id"), "course_chapters", ["chapter_id"], unique=False)
    op.create_table(
        "course_progress",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("course_id", _ID, autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('not_started', 'in_progress', 'incomplete', 'completed')",
            name=op.f("ck_course_progress_status"),
        ),
        sa.ForeignKeyConstraint(["course_id"], ["courses.id"], name=op.f("fk_course_progress_course_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_course_progress_user_id")),
        sa.PrimaryKeyConstraint("user_id", "course_id", name=op.f("pk_course_progress")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "user_content_roles",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("content_role_id", _ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["content_role_id"], ["content_roles.id"], name=op.f("fk_user_content_roles_content_role_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_content_roles_user_id")),
        sa.PrimaryKeyConstraint("user_id", "content_role_id", name=op.f("pk_user_content_roles")),
    )
    op.create_index(
        op.f("ix_user_content_roles_content_role_id"), "user_content_roles", ["content_role_id"], unique=False
    )
    # ### end Alembic commands ###
    op.bulk_insert(sa.table("leases", sa.column("name", sa.Text())), [{"name": "housekeeping"}, {"name": "window"}])
