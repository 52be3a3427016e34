"""[203] of everything for one learner, through an object for each row."""

import json

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import DeclarativeBase, Session

from jobs.records import tables
from jobs.records.tables import ARCHIVE

_RESET = {"status": "incomplete", "position_seconds": 0, "started_at": None, "completed_at": None}


class _Base(DeclarativeBase):
    pass


class _Attempt(_Base):
    __table__ = tables.attempts


class _Chapter(_Base):
    __table__ = tables.chapter_progress


class _Course(_Base):
    __table__ = tables.course_progress


def reset(session: Session, user: int) -> str:
    """Reset one learner within the caller's transaction; give its rows as JSON."""
    return json.dumps([_erase(session, user), _change(session, _Chapter, user), _change(session, _Course, user)])


def _erase(session: Session, user: int) -> int:
    found = session.scalars(select(_Attempt).where(_Attempt.__table__.c.user_id == user)).all()
    for attempt in found:
        _put_aside(session, _Attempt.__table__, attempt)
        session.delete(attempt)
    return len(found)


def _change(session: Session, kind: type[_Chapter] | type[_Course], user: int) -> int:
    table: Table = kind.__table__
    wanted = {name: value for name, value in _RESET.items() if name in table.columns}
    changed = 0
    for row in session.scalars(select(kind).where(table.c.user_id == user)).all():
        if any(getattr(row, name) != value for name, value in wanted.items()):
            _put_aside(session, table, row)
            for name, value in wanted.items():
                setattr(row, name, value)
            changed += 1
    return changed


def _put_aside(session: Session, table: Table, row: _Base) -> None:
    values = {column.name: getattr(row, column.name) for column in table.columns}
    session.execute(insert(ARCHIVE[table]), {"job_id": 1, **values})
