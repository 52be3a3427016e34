"""What happens to a running system during a soak: one fault after the other, each undone in the end."""

import random
import signal
from collections.abc import Callable
from contextlib import suppress

import psutil
from sqlalchemy import text

from tests.faults.harness import Scene, for_seconds

APPLICATION = "worker"
"""Under this name the workers connect to PostgreSQL."""

_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = :name ORDER BY random() LIMIT 1
"""

Fault = Callable[[Scene, random.Random], None]


def kill_a_child(scene: Scene, chance: random.Random) -> None:
    """End a process that runs chunks."""
    children = [child for worker in scene.workers for child in worker.children()]
    if children:
        with suppress(psutil.NoSuchProcess):
            chance.choice(children).kill()


def kill_a_worker(scene: Scene, chance: random.Random) -> None:
    """End a worker with all that is its own, and start another."""
    scene.workers.pop(chance.randrange(len(scene.workers))).kill()
    scene.start_worker()


def restart_a_worker(scene: Scene, chance: random.Random) -> None:
    """Ask a worker to end in order, and start another."""
    leaving = scene.workers.pop(chance.randrange(len(scene.workers)))
    scene.start_worker()
    leaving.process.send_signal(signal.SIGTERM)
    try:
        leaving.process.wait(30)
    finally:
        leaving.kill()


def freeze_a_worker(scene: Scene, chance: random.Random) -> None:
    """Let a worker stand still for longer than its lease, without SQLite's write lock: nothing could take it away."""
    worker = chance.choice(scene.workers)
    with suppress(psutil.NoSuchProcess):
        worker.freeze()
        while scene.database.dialect == "sqlite" and not scene.becomes_free(1):
            worker.thaw()
            worker.freeze()
    for_seconds(chance.uniform(1, 5))
    worker.thaw()


def restart_the_broker(scene: Scene, _: random.Random) -> None:
    """Kill the broker and start it on what its append-only file kept."""
    scene.broker.restart()


def empty_the_broker(scene: Scene, _: random.Random) -> None:
    """Lose every message."""
    scene.broker.flush()


def freeze_the_broker(scene: Scene, chance: random.Random) -> None:
    """Let the broker be silent for longer than anybody waits for it."""
    scene.broker.freeze()
    for_seconds(chance.uniform(1, 4))
    scene.broker.thaw()


def cut_a_connection(scene: Scene, _: random.Random) -> None:
    """Let PostgreSQL end a connection of a worker; SQLite has none."""
    if scene.database.dialect == "postgresql":
        with scene.database.write() as connection:
            connection.execute(text(_CUT), {"name": APPLICATION})


FAULTS: tuple[Fault, ...] = (
    kill_a_child,
    kill_a_worker,
    restart_a_worker,
    freeze_a_worker,
    restart_the_broker,
    empty_the_broker,
    freeze_the_broker,
    cut_a_connection,
)
