"""The learning system's tables, under the names of the record format, and their archive twins.

A twin has the columns of its record table, typed alike and without constraints, and the job that wrote
the row there. It is only appended to, job by job; on PostgreSQL a BRIN index finds a job's rows at hardly
any cost to writing.
"""

from typing import Any

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
)

from jobs.schema import Id, UtcDateTime, metadata

ACCESSES = ("learner", "admin", "super_user")
STATUSES = ("not_started", "in_progress", "incomplete", "completed")

# Room on each page lets a reset update a row beside its old version, without touching the index.
_ROOM_TO_UPDATE = 50


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _entity(name: str, *columns: Column[object] | CheckConstraint) -> Table:
    return Table(name, metadata, Column("id", Id, primary_key=True, autoincrement=False), *columns)


locations = _entity("locations", Column("name", Text, nullable=False))

users = _entity(
    "users",
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("location_id", Id, ForeignKey("locations.id"), nullable=False, index=True),
    Column("access", Text, nullable=False),
    _one_of("access", ACCESSES),
)

content_roles = _entity("content_roles", Column("name", Text, nullable=False))

categories = _entity("categories", Column("name", Text, nullable=False))

courses = _entity(
    "courses",
    Column("category_id", Id, ForeignKey("categories.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
)

chapters = _entity("chapters", Column("name", Text, nullable=False))


def _link(
    name: str, left: str, left_table: str, right: str, right_table: str, *more: Column[Any] | CheckConstraint
) -> Table:
    return Table(
        name,
        metadata,
        Column(left, Id, ForeignKey(f"{left_table}.id"), primary_key=True, autoincrement=False),
        Column(right, Id, ForeignKey(f"{right_table}.id"), primary_key=True, autoincrement=False, index=True),
        *more,
    )


user_content_roles = _link("user_content_roles", "user_id", "users", "content_role_id", "content_roles")
course_chapters = _link(
    "course_chapters",
    "course_id",
    "courses",
    "chapter_id",
    "chapters",
    Column("position", Integer, nullable=False),
    CheckConstraint("position >= 0", name="position"),
)
content_role_courses = _link("content_role_courses", "content_role_id", "content_roles", "course_id", "courses")
content_role_chapters = _link("content_role_chapters", "content_role_id", "content_roles", "chapter_id", "chapters")

chapter_progress = Table(
    "chapter_progress",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("chapter_id", Id, ForeignKey("chapters.id"), primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("position_seconds", Integer, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("last_activity_at", UtcDateTime),
    _one_of("status", STATUSES),
    CheckConstraint("position_seconds >= 0", name="position_seconds"),
    postgresql_with={"fillfactor": _ROOM_TO_UPDATE},
)

course_progress = Table(
    "course_progress",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("course_id", Id, ForeignKey("courses.id"), primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("last_activity_at", UtcDateTime),
    _one_of("status", STATUSES),
    postgresql_with={"fillfactor": _ROOM_TO_UPDATE},
)

# AUTOINCREMENT and the PostgreSQL sequence behind the id never give an erased attempt's id to another one.
attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("chapter_id", Id, ForeignKey("chapters.id"), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("score", Float),
    Column("passed", Boolean),
    Index("ix_attempts_user_id_chapter_id", "user_id", "chapter_id"),
    sqlite_autoincrement=True,
)

RECORD_FORMAT: tuple[Table, ...] = (
    locations,
    users,
    content_roles,
    user_content_roles,
    categories,
    courses,
    chapters,
    course_chapters,
    content_role_courses,
    content_role_chapters,
    chapter_progress,
    course_progress,
    attempts,
)
"""The tables of the record format, each after those that it refers to."""


def _twin(table: Table) -> Table:
    name = f"archive_{table.name}"
    columns = [Column(column.name, column.type, nullable=column.nullable) for column in table.columns]
    return Table(
        name,
        metadata,
        Column("job_id", BigInteger, nullable=False),
        *columns,
        Index(f"ix_{name}_job_id_user_id", "job_id", "user_id", postgresql_using="brin"),
    )


ARCHIVE: dict[Table, Table] = {table: _twin(table) for table in (attempts, chapter_progress, course_progress)}
"""Each record table that a reset changes, with its archive twin."""
