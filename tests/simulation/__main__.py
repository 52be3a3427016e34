"""`make simulate`: three years of scheduled maintenance on a virtual clock, from a printed seed.

Prints for each schedule what became of its times. SIMULATE='--seed 7 --days 100' repeats or shortens one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

import pytest
import structlog

from jobs.database import Database
from jobs.store.migrate import upgrade
from tests.clock import stop_clock
from tests.simulation.years import BEGIN, simulate

_COLUMNS = (
    "submitted",
    "submitted late",
    "nothing",
    "nothing late",
    "held",
    "held late",
    "overlap",
    "missed",
    "failed",
)


def main() -> None:
    """Simulate, and print the table."""
    words = argparse.ArgumentParser(description="Simulate years of scheduled maintenance.")
    words.add_argument("--days", type=int, default=3 * 365 + 1)
    words.add_argument("--learners", type=int, default=40)
    words.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    given = words.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        clock = stop_clock(patch, BEGIN)
        database = Database(f"sqlite:///{Path(directory) / 'years.sqlite3'}")
        upgrade(database)
        table = simulate(database, clock, days=given.days, learners=given.learners, seed=given.seed)
        database.close()
    lines = [("schedule", "times", *_COLUMNS)]
    lines += [
        (name, f"{counts.total()}", *(f"{counts[column]}" for column in _COLUMNS)) for name, counts in table.items()
    ]
    told = f"seed {given.seed}, {given.days} days, {time.monotonic() - began:.0f} s; each time accounted for once"
    sys.stdout.write("\n".join([told, *(f"| {' | '.join(line)} |" for line in lines), ""]))


if __name__ == "__main__":
    main()
