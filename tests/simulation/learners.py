"""Some learners of the real records, who go on learning while the years pass."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from random import Random

from sqlalchemy import insert, select, update

from jobs.database import Database
from jobs.records import tables
from tests.plainsystem import FORMAT
from tests.small import fill_crowd

RECORDS = Path(__file__).parents[2].parent / "shared" / "data" / "oulad"
LOCATION = 4
_COMPLETES = 0.03
"""So that a course is completed again after some months, and some of them fall due."""


class Learners:
    """So many learners of one location, with all content; without the real records, a crowd that is all alike."""

    def __init__(self, database: Database, number: int, chance: Random) -> None:
        self._database, self._chance = database, chance
        if RECORDS.is_dir():
            self.location = LOCATION
            _load(database, number)
        else:
            self.location = 1
            fill_crowd(database, number)
        with database.read() as connection:
            course, chapter = tables.course_progress.c, tables.chapter_progress.c
            self.courses = tuple(sorted(connection.execute(select(course.course_id).distinct()).scalars()))
            self._courses = connection.execute(select(course.user_id, course.course_id)).all()
            self._chapters = connection.execute(select(chapter.user_id, chapter.chapter_id)).all()

    def learn(self, now: datetime) -> None:
        """Let some of them begin chapters, and now and then one complete a course once more."""
        done = {"status": "completed", "completed_at": now, "last_activity_at": now}
        begun = {"status": "in_progress", "started_at": now, "completed_at": None, "last_activity_at": now}
        with self._database.write() as connection:
            for user, course in self._chance.sample(self._courses, self._chance.random() < _COMPLETES):
                row = tables.course_progress.c
                mine = update(tables.course_progress).where(row.user_id == user, row.course_id == course)
                connection.execute(mine.values(done))
            for user, chapter in self._chance.sample(self._chapters, 3):
                part = tables.chapter_progress.c
                mine = update(tables.chapter_progress).where(part.user_id == user, part.chapter_id == chapter)
                connection.execute(mine.values(begun))


def _load(database: Database, number: int) -> None:
    """Load root and the first learners of a location with their records, and everything that is nobody's."""
    people = _lines("users")
    learners = [line for line in people if (line["location_id"], line["access"]) == (f"{LOCATION}", "learner")]
    kept = {line["id"] for line in learners[:number]} | {"1"}
    with database.write() as connection:
        for table in tables.RECORD_FORMAT:
            lines = [
                line
                for line in _lines(table.name)
                if line.get("user_id", "1") in kept and (table is not tables.users or line["id"] in kept)
            ]
            rows = [{name: _value(kind, line[name]) for name, kind in FORMAT[table.name].items()} for line in lines]
            connection.execute(insert(table), rows)


def _lines(table: str) -> list[dict[str, str]]:
    with gzip.open(RECORDS / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _value(kind: type, text: str) -> object:
    if text == "":
        return None
    if kind is bool:
        return text == "true"
    return datetime.fromisoformat(text) if kind is datetime else kind(text)
