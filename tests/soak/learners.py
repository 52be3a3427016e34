"""Learners at work while a job runs: each write is one transaction, as a learning system does it."""

import random
import threading
from typing import Self

from sqlalchemy import Table, insert, select, update
from sqlalchemy.exc import OperationalError

from jobs.database import Database, read_now
from jobs.records.tables import attempts, chapter_progress


class Learners:
    """A context in which learners finish chapters, some a second, until it ends.

    Args:
        database_url: where their records are.
        seed: of the choice of who does what.
        writes_per_second: over all learners.

    """

    def __init__(self, database_url: str, seed: int, writes_per_second: float) -> None:
        self.attempts: set[int] = set()
        self.unsure = 0
        self._database = Database(database_url)
        self._chance = random.Random(seed)
        self._pause = 1 / writes_per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        """Begin."""
        with self._database.read() as connection:
            rows = connection.execute(select(chapter_progress.c.user_id, chapter_progress.c.chapter_id).limit(200_000))
            self._chapters = [(row.user_id, row.chapter_id) for row in rows]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, once the last write is done."""
        self._stop.set()
        self._thread.join()
        self._database.close()

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.attempts.add(self._finish_a_chapter())
            except OperationalError:  # a server that was taken down, or a conflict: a learner tries again later
                self.unsure += 1

    def _finish_a_chapter(self) -> int:
        user, chapter = self._chance.choice(self._chapters)
        with self._database.write() as connection:
            now = read_now(connection)
            done = insert(attempts).values(
                user_id=user, chapter_id=chapter, started_at=now, finished_at=now, score=80.0, passed=True
            )
            attempt: int = connection.execute(done.returning(attempts.c.id)).scalar_one()
            connection.execute(
                update(chapter_progress)
                .where(chapter_progress.c.user_id == user, chapter_progress.c.chapter_id == chapter)
                .values(status="completed", completed_at=now, last_activity_at=now)
            )
        return attempt


def ids_of(database: Database, table: Table) -> list[int]:
    """Give the ids that stand in a table, with repeats."""
    with database.read() as connection:
        return list(connection.execute(select(table.c.id)).scalars())
