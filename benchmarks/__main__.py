"""`python -m benchmarks [SCENARIO …]`: start the servers, run the scenarios, show and write what they found."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.measures import RecordsDiffer
from benchmarks.places import Sqlite, postgres_server
from benchmarks.scenarios import SCENARIOS
from worker.embedded import EmbeddedBroker


def main() -> None:
    """Run the scenarios that are named, or the main table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}, or all")
    words.add_argument("--users", type=int, default=100_000, help="learners of the main work")
    words.add_argument("--sample", type=int, default=1_000, help="learners for contenders that go user by user")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--output", type=Path, default=Path("build/bench"), help="where the JSON file and the charts go")
    given = words.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing stays behind
    names = list(SCENARIOS) if given.scenarios == ["all"] else given.scenarios or ["contest"]
    if unknown := [name for name in names if name not in SCENARIOS]:
        words.error(f"there is no scenario {', '.join(unknown)}; choose from {', '.join(SCENARIOS)}, or all")
    console = Console()
    with _bench(given.users, given.sample, given.rounds, console) as bench:
        results = {}
        for name in names:
            try:
                results[name] = SCENARIOS[name](bench)
            except RecordsDiffer as error:
                sys.exit(f"the run is void: {error}")
            report.show(console, results[name])
        report.write(given.output / "results.json", bench, results)
        report.draw(given.output, results)


@contextmanager
def _bench(users: int, sample: int, rounds: int, console: Console) -> Iterator[Bench]:
    """Start a PostgreSQL server and a broker in a directory whose name leaves room for a socket's."""
    directory = Path(tempfile.mkdtemp(prefix="tr-"))
    directory.chmod(0o755)
    try:
        with postgres_server(directory) as postgres, EmbeddedBroker(directory / "vk") as broker:
            yield Bench(
                users=users,
                sample=min(sample, users),
                rounds=rounds,
                directory=directory,
                postgres=postgres,
                sqlite=Sqlite(directory),
                broker_url=broker.address.kombu_url,
                console=console,
            )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
