"""Two small learning systems whose resets can be counted by hand, and the handles to run a job on them.

The hand-made system, with what [203] of course 101 at location 1 does:

    ada    chapters 1001 and 1002 completed, three attempts, course 101 completed, course 102 in progress
           → 3 attempts, 2 chapters, 2 courses (102 holds chapter 1002 and no other of hers)
    boris  chapter 1001 in progress, an open attempt, course 101 in progress → 1 attempt, 1 chapter, 1 course
    chloe  chapter 1003 in progress, one attempt, course 102 in progress → unchanged
    deniz  nothing → unchanged, like root and the administrator
    eva    at location 2: as ada in chapter 1001 and course 101

The crowd: learners who are all alike, with a completed chapter, its completed course and two attempts each.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from jobs import dispatch
from jobs.database import Database, read_now
from jobs.execution import ChunkRunner
from jobs.model import Job, Kind
from jobs.records import tables
from jobs.records.tables import ARCHIVE
from jobs.schema import metadata
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.settings import Settings
from jobs.store import job_rows
from jobs.store.tables import chunks, jobs

BEGAN = datetime(2026, 1, 5, 8, tzinfo=UTC)
ENDED = datetime(2026, 1, 6, 17, 30, tzinfo=UTC)
FIRST_OF_CROWD = 1001

AT_NORTH = [1, 2, 11, 12, 13, 14]
"""Everybody at location 1, in the order of a job."""

ARCHIVED = {
    "attempts": [1, 2, 3, 4],
    "chapter_progress": [(11, 1001), (11, 1002), (12, 1001)],
    "course_progress": [(11, 101), (11, 102), (12, 101)],
}
"""What [203] of course 101 for everybody at location 1 takes away: the keys of the rows."""

Row = dict[str, Any]


def _user(user_id: int, login: str, location: int, access: str = "learner") -> Row:
    return {"id": user_id, "login": login, "name": login.title(), "location_id": location, "access": access}


def _chapter(user: int, chapter: int, status: str) -> Row:
    completed = ENDED if status == "completed" else None
    return {
        "user_id": user,
        "chapter_id": chapter,
        "status": status,
        "position_seconds": 30,
        "started_at": BEGAN,
        "completed_at": completed,
        "last_activity_at": ENDED,
    }


def _course(user: int, course: int, status: str) -> Row:
    row = _chapter(user, 0, status)
    del row["chapter_id"], row["position_seconds"]
    return row | {"course_id": course}


def _attempt(attempt: int, user: int, chapter: int, finished: datetime | None = ENDED) -> Row:
    return {
        "id": attempt,
        "user_id": user,
        "chapter_id": chapter,
        "started_at": BEGAN,
        "finished_at": finished,
        "score": None if finished is None else 79.5,
        "passed": None if finished is None else True,
    }


_SYSTEM: tuple[tuple[Table, list[Row]], ...] = (
    (tables.locations, [{"id": 1, "name": "North"}, {"id": 2, "name": "South"}]),
    (
        tables.users,
        [
            _user(1, "root", 1, "super_user"),
            _user(2, "north.admin", 1, "admin"),
            _user(3, "south.admin", 2, "admin"),
            *(_user(11 + i, login, 1) for i, login in enumerate(("ada", "boris", "chloe", "deniz"))),
            _user(21, "eva", 2),
        ],
    ),
    (tables.content_roles, [{"id": 31, "name": "Nurses"}, {"id": 32, "name": "Doctors"}]),
    (
        tables.user_content_roles,
        [{"user_id": user, "content_role_id": role} for user, role in ((11, 31), (12, 31), (13, 32))],
    ),
    (tables.categories, [{"id": 41, "name": "Safety"}]),
    (tables.courses, [{"id": course, "category_id": 41, "name": f"Course {course}"} for course in (101, 102)]),
    (tables.chapters, [{"id": chapter, "name": f"Chapter {chapter}"} for chapter in (1001, 1002, 1003)]),
    (
        tables.course_chapters,
        [
            {"course_id": course, "chapter_id": chapter, "position": chapter - 1001}
            for course, chapter in ((101, 1001), (101, 1002), (102, 1002), (102, 1003))
        ],
    ),
    (tables.content_role_courses, [{"content_role_id": 31, "course_id": 101}]),
    (tables.content_role_chapters, [{"content_role_id": 32, "chapter_id": 1003}]),
    (
        tables.chapter_progress,
        [
            _chapter(11, 1001, "completed"),
            _chapter(11, 1002, "completed"),
            _chapter(12, 1001, "in_progress"),
            _chapter(13, 1003, "in_progress"),
            _chapter(21, 1001, "completed"),
        ],
    ),
    (
        tables.course_progress,
        [
            _course(11, 101, "completed"),
            _course(11, 102, "in_progress"),
            _course(12, 101, "in_progress"),
            _course(13, 102, "in_progress"),
            _course(21, 101, "completed"),
        ],
    ),
    (
        tables.attempts,
        [
            _attempt(1, 11, 1001),
            _attempt(2, 11, 1001),
            _attempt(3, 11, 1002),
            _attempt(4, 12, 1001, None),
            _attempt(5, 13, 1003),
            _attempt(6, 21, 1001),
        ],
    ),
)


def fill_small_system(database: Database) -> None:
    """Load the hand-made system."""
    with database.write() as connection:
        for table, rows in _SYSTEM:
            connection.execute(insert(table), rows)


def fill_crowd(database: Database, learners: int) -> list[int]:
    """Load so many learners who are all alike, and root; give the learners' ids."""
    crowd = list(range(FIRST_OF_CROWD, FIRST_OF_CROWD + learners))
    with database.write() as connection:
        connection.execute(insert(tables.locations), [{"id": 1, "name": "North"}])
        users = [_user(1, "root", 1, "super_user"), *(_user(user, f"learner.{user}", 1) for user in crowd)]
        connection.execute(insert(tables.users), users)
        connection.execute(insert(tables.categories), [{"id": 41, "name": "Safety"}])
        connection.execute(insert(tables.courses), [{"id": 101, "category_id": 41, "name": "Course"}])
        connection.execute(insert(tables.chapters), [{"id": 1001, "name": "Chapter"}])
        connection.execute(insert(tables.course_chapters), [{"course_id": 101, "chapter_id": 1001, "position": 0}])
        connection.execute(insert(tables.chapter_progress), [_chapter(user, 1001, "completed") for user in crowd])
        connection.execute(insert(tables.course_progress), [_course(user, 101, "completed") for user in crowd])
        attempts = [_attempt(2 * user + half, user, 1001) for user in crowd for half in (0, 1)]
        connection.execute(insert(tables.attempts), attempts)
    return crowd


TRAINING = ResetRequest(
    kind=Kind.TRAINING, users=UserSelection(all_users=True), content=ContentSelection(courses=(101,))
)
"""[203] of course 101 for everybody at location 1."""


def of_users(users: Iterable[int]) -> ResetRequest:
    """[203] of course 101 for these users."""
    return ResetRequest(
        kind=Kind.TRAINING, users=UserSelection(ids=tuple(users)), content=ContentSelection(courses=(101,))
    )


def submit(database: Database, request: ResetRequest = TRAINING, *, login: str = "root", **options: Any) -> int:  # noqa: ANN401 - any option
    """Submit a job and give its id."""
    job, _ = Administration(database, login).submit(request, JobOptions(**{"reason": "a new year"} | options))
    return job.id


class Broker:
    """Takes messages in place of a broker, and orders in place of the system; refuses messages after so many."""

    def __init__(self) -> None:
        self.messages: list[int] = []
        self.takes: int | None = None
        self.waiting = 0
        self.killed: list[int] = []
        self.couriers = 0

    def __call__(self, chunk_id: int) -> None:
        if self.takes is not None and self.takes <= 0:
            raise dispatch.PublishFailed("connection refused")
        if self.takes is not None:
            self.takes -= 1
        self.messages.append(chunk_id)

    def start_courier(self) -> None:
        """Count a courier that would be started."""
        self.couriers += 1

    def take(self) -> list[int]:
        """Give the messages that are there, and forget them."""
        taken, self.messages = self.messages, []
        return taken


def work(database: Database, settings: Settings | None = None, worker_id: str = "worker") -> list[int]:
    """Do as one worker does, alone and at once, until nothing is dispatched any more; give the chunks run."""
    settings, broker = settings or Settings(), Broker()
    runner, ran = ChunkRunner(database, worker_id, settings), []
    dispatch.fill(database, settings, broker)
    while broker.messages:
        chunk = broker.messages.pop(0)
        runner.run(chunk)
        ran.append(chunk)
        dispatch.fill(database, settings, broker)
    return ran


def job_of(database: Database, job_id: int) -> Job:
    """Read a job."""
    with database.read() as connection:
        job = job_rows.find_job(connection, job_id)
    assert job is not None
    return job


def chunks_of(database: Database, job_id: int | None = None) -> list[Row]:
    """Read the chunks of a job, or of all, in the order of their users."""
    query = select(chunks).order_by(chunks.c.job_id, chunks.c.first_ordinal)
    if job_id is not None:
        query = query.where(chunks.c.job_id == job_id)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def ranges_of(database: Database, job_id: int | None = None) -> list[tuple[int, int]]:
    """Read the first and last ordinal of each chunk."""
    return [(chunk["first_ordinal"], chunk["last_ordinal"]) for chunk in chunks_of(database, job_id)]


def set_back(database: Database, table: Table, column: str, **where: object) -> None:
    """Set a stored time to an hour ago, so that what it bounds has lapsed."""
    with database.write() as connection:
        past = read_now(connection) - timedelta(hours=1)
        statement = update(table).values({column: past})
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        assert connection.execute(statement).rowcount > 0


def set_job(database: Database, job_id: int, **values: object) -> None:
    """Change a job's row as no code of ours would."""
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))


def dump(database: Database) -> dict[str, list[Row]]:
    """Read every row of every table."""
    with database.read() as connection:
        return {table.name: _rows(connection, table) for table in metadata.sorted_tables}


def archived(database: Database, job_id: int) -> dict[str, list[Any]]:
    """Read the keys of the rows that a job archived, by record table."""
    keys: dict[str, list[Any]] = {}
    with database.read() as connection:
        for table, twin in ARCHIVE.items():
            columns = [twin.c[column.name] for column in table.primary_key]
            rows = connection.execute(select(*columns).where(twin.c.job_id == job_id).order_by(*columns)).all()
            keys[table.name] = [row[0] if len(columns) == 1 else tuple(row) for row in rows]
    return keys


def _rows(connection: Connection, table: Table) -> list[Row]:
    rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    return sorted(rows, key=repr)
