"""Read the archive of a job, and what its users did since."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from jobs.idsets import id_sets
from jobs.model import Rows
from jobs.records.effects import ATTEMPTS, CHAPTER_PROGRESS, COURSE_PROGRESS
from jobs.records.tables import ARCHIVE


def archived_rows(connection: Connection, job_id: int) -> dict[int, Rows]:
    """Count the rows that a job archived, for each user who has any."""
    counted: defaultdict[int, Rows] = defaultdict(Rows)
    for records in (ATTEMPTS, CHAPTER_PROGRESS, COURSE_PROGRESS):
        twin = ARCHIVE[records.table].c
        query = select(twin[records.user], func.count()).where(twin.job_id == job_id).group_by(twin[records.user])
        for user_id, number in connection.execute(query):
            counted[user_id] += Rows(**{records.counter: number})
    return dict(counted)


def attempts_there_again(connection: Connection, job_id: int) -> Iterator[tuple[int, int]]:
    """Give (user, attempt) for each attempt that a job erased and that is among the records."""
    live, twin = ATTEMPTS.table.c, ARCHIVE[ATTEMPTS.table].c
    query = select(twin.user_id, twin.id).join(ATTEMPTS.table, live.id == twin.id).where(twin.job_id == job_id)
    for row in connection.execute(query.order_by(twin.user_id, twin.id)):
        yield row[0], row[1]


def active_since(connection: Connection, moment: datetime, user_ids: Collection[int]) -> set[int]:
    """Give those of the users who worked on any chapter or course since then."""
    sets = id_sets(connection.dialect.name)
    active: set[int] = set()
    for records in (ATTEMPTS, CHAPTER_PROGRESS, COURSE_PROGRESS):
        table = records.table.c
        moments = (table.started_at, table.finished_at) if records is ATTEMPTS else (table.last_activity_at,)
        query = select(table.user_id).where(
            sets.among(table.user_id, "ids"), or_(*(column >= moment for column in moments))
        )
        active |= set(connection.execute(query.distinct(), sets.parameters("ids", user_ids)).scalars())
    return active
