"""Some weeks of the simulation of `make simulate`, over a change of the clocks."""

import pytest

from jobs.database import Database
from tests.clock import stop_clock
from tests.simulation.years import BEGIN, SCHEDULES, simulate


def test_every_time_of_some_weeks_is_accounted_for_once(
    sqlite_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_clock(monkeypatch, BEGIN)
    database = Database(sqlite_database_url)
    table = simulate(database, clock, days=10, learners=10, seed=1)
    assert table.keys() == {watched.name for watched in SCHEDULES}
    assert table["hourly"].total() == 240
    assert table["hourly"]["failed"] == 0
    database.close()
