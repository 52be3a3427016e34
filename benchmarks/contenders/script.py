"""The fastest script that a database administrator would write: one transaction, copies first.

It blocks learners throughout, cannot be followed, and knows no outcome of anybody. It looks at no more than what
was asked for: for everybody's everything it has no conditions on users or chapters at all.
"""

import sqlite3
import time
from contextlib import closing

import psycopg

from benchmarks.resets import Reset
from jobs.model import Kind

COPIES = "copy_of_"
"""What the names of its copies begin with."""

_CHAPTER_DIFFERS = (
    "(status <> 'incomplete' OR position_seconds <> 0 OR started_at IS NOT NULL OR completed_at IS NOT NULL)"
)
_COURSE_DIFFERS = "(status <> 'incomplete' OR started_at IS NOT NULL OR completed_at IS NOT NULL)"


def run(url: str, reset: Reset) -> float:
    """Run the script on a database; give its seconds."""
    connection: psycopg.Connection | sqlite3.Connection
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
    else:
        connection = psycopg.connect(url, autocommit=True)
    with closing(connection):
        began = time.monotonic()
        connection.execute("BEGIN")
        for statement in statements(reset):
            connection.execute(statement)
        connection.execute("COMMIT")
        return time.monotonic() - began


def statements(reset: Reset) -> list[str]:
    """Give the statements of the script."""
    return _training(reset) if reset.kind is Kind.TRAINING else _in_progress(reset)


def _training(reset: Reset) -> list[str]:
    attempts = f"{reset.of_users()} AND {reset.of_chapters()}"
    chapters = f"{attempts} AND {_CHAPTER_DIFFERS}"
    courses = f"{reset.of_users()} AND {_COURSE_DIFFERS if reset.chapters is None else _parent_falls_back(reset)}"
    of_course = (
        "status = 'incomplete', started_at = NULL, completed_at = NULL"
        if reset.chapters is None
        else "status = 'incomplete', completed_at = CASE status WHEN 'completed' THEN NULL ELSE completed_at END"
    )
    return [
        _copy("attempts", attempts),
        _copy("chapter_progress", chapters),
        _copy("course_progress", courses),
        f"UPDATE course_progress SET {of_course} WHERE {courses}",
        (
            "UPDATE chapter_progress SET status = 'incomplete', position_seconds = 0, started_at = NULL, "
            f"completed_at = NULL WHERE {chapters}"
        ),
        f"DELETE FROM attempts WHERE {attempts}",
    ]


def _parent_falls_back(reset: Reset) -> str:
    """Choose the courses that hold a chapter of the reset which changes, and must not stay as they are."""
    of_user = "user_id = course_progress.user_id"
    here = f"course_id = course_progress.course_id AND {reset.of_chapters('course_chapters.chapter_id')}"
    changes = (
        f"EXISTS (SELECT FROM course_chapters JOIN attempts USING (chapter_id) WHERE {here} AND {of_user}) "
        f"OR EXISTS (SELECT FROM course_chapters JOIN chapter_progress p USING (chapter_id) WHERE {here} "
        f"AND {of_user} AND (p.status <> 'incomplete' OR p.position_seconds <> 0 OR p.started_at IS NOT NULL "
        "OR p.completed_at IS NOT NULL))"
    )
    stays = (
        "EXISTS (SELECT FROM course_chapters JOIN chapter_progress p USING (chapter_id) WHERE course_id = "
        f"course_progress.course_id AND NOT {reset.of_chapters('course_chapters.chapter_id')} AND {of_user} "
        "AND p.status IN ('in_progress', 'completed'))"
    )
    return f"(({changes}) AND (status = 'completed' OR status = 'in_progress' AND NOT {stays}))"


def _in_progress(reset: Reset) -> list[str]:
    rows = f"{reset.of_users()} AND status = 'in_progress'"
    back = "status = 'not_started', started_at = NULL"
    return [
        _copy("chapter_progress", rows),
        _copy("course_progress", rows),
        f"UPDATE course_progress SET {back} WHERE {rows}",
        f"UPDATE chapter_progress SET {back}, position_seconds = 0 WHERE {rows}",
    ]


def _copy(table: str, condition: str) -> str:
    return f"CREATE TABLE {COPIES}{table} AS SELECT * FROM {table} WHERE {condition}"
