"""What every scenario is given: the servers, the sizes, and somewhere to write."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.places import Postgres, Sqlite


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        users: learners of the main work.
        sample: learners for whom contenders run that would take too long for all.
        rounds: how often everything is measured.
        directory: for data and logs; gone afterwards.

    """

    users: int
    sample: int
    rounds: int
    directory: Path
    postgres: Postgres
    sqlite: Sqlite
    broker_url: str
    console: Console
