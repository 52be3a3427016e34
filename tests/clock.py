"""A database's clock that a test moves; everything else of the database stays real."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import ColumnElement, literal

import jobs.database
from jobs.schema import UtcDateTime
from jobs.store import chunk_rows, job_rows, outcome_rows, schedule_rows


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def move_to(self, now: datetime) -> None:
        self.now = now

    def go_on(self, **time: float) -> None:
        """Move on by days, hours, minutes or seconds."""
        self.now += timedelta(**time)

    def __call__(self, dialect: str) -> ColumnElement[datetime]:  # noqa: ARG002 - as the function that it stands for
        return literal(self.now, UtcDateTime)


def stop_clock(monkeypatch: pytest.MonkeyPatch, now: datetime) -> Clock:
    """Let the clock of every database of this process show `now` until it is moved."""
    clock = Clock(now)
    for module in (jobs.database, chunk_rows, job_rows, outcome_rows, schedule_rows):
        monkeypatch.setattr(module, "database_now", clock)
    return clock
