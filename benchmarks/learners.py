"""Learners at work on the same rows: each write is one transaction, as a learning system does it.

Writes are due at fixed moments and timed from then on, so that those that queue behind a slow one count as slow too.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

from benchmarks.work import CHAPTERS_OF_A_COURSE, FIRST_CHAPTER, FIRST_COURSE, Work

WRITES_PER_SECOND = 40
_CONNECTIONS = 8
_CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


class Learners:
    """Learners who finish chapters at a steady pace.

    Attributes:
        seconds: what each write took, from when it was due.

    """

    def __init__(self, url: str, work: Work) -> None:
        self.seconds: list[float] = []
        self._url = url
        self._work = work
        self._stop = threading.Event()

    def work(self, number: int) -> None:
        """Do every so manieth write until the end."""
        chance = random.Random(number)
        pause = _CONNECTIONS / WRITES_PER_SECOND
        with psycopg.connect(self._url, autocommit=True) as connection:
            due = time.monotonic() + pause * number / _CONNECTIONS
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                self._finish_a_chapter(connection, chance)
                self.seconds.append(time.monotonic() - due)
                due += pause

    def stop(self) -> None:
        """Let each of them finish the write that it is at."""
        self._stop.set()

    def _finish_a_chapter(self, connection: psycopg.Connection, chance: random.Random) -> None:
        user = chance.choice(self._work.everybody)
        place = chance.randrange(self._work.chapters)
        values = {
            "user": user,
            "chapter": FIRST_CHAPTER + place,
            "course": FIRST_COURSE + place // CHAPTERS_OF_A_COURSE,
            "now": datetime.now(UTC),
        }
        while True:
            try:
                with connection.transaction():
                    for statement in _WRITES:
                        connection.execute(statement, values)
            except _CONFLICTS:
                continue
            return


_WRITES = (
    (
        "INSERT INTO attempts (user_id, chapter_id, started_at, finished_at, score, passed) "
        "VALUES (%(user)s, %(chapter)s, %(now)s, %(now)s, 80, true)"
    ),
    (
        "UPDATE chapter_progress SET status = 'completed', completed_at = %(now)s, last_activity_at = %(now)s "
        "WHERE user_id = %(user)s AND chapter_id = %(chapter)s"
    ),
    "UPDATE course_progress SET last_activity_at = %(now)s WHERE user_id = %(user)s AND course_id = %(course)s",
)


@contextmanager
def working(url: str, work: Work) -> Iterator[Learners]:
    """Let learners work until the end of the context."""
    learners = Learners(url, work)
    threads = [threading.Thread(target=learners.work, args=(number,)) for number in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield learners
    finally:
        learners.stop()
        for thread in threads:
            thread.join()
