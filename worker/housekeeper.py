"""The housekeeper's process: `python -m worker.housekeeper WORKER_ID PROCESS PIPE`, started by the worker beside it.

It ends when it is told to, and when its worker, whose process it is given, is gone. In each round it writes a byte to
the pipe, whose number it is given, so that its worker sees that it is not frozen.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event

import structlog
from sqlalchemy.exc import DBAPIError

from jobs.database import Database
from jobs.dispatch import PublishFailed
from jobs.errors import DatabaseUnavailable
from jobs.housekeeping import Housekeeper
from jobs.settings import Settings
from worker.children import Children
from worker.couriers import Couriers
from worker.logs import configure_logging
from worker.publishing import messages_waiting, publish_chunk

log = structlog.get_logger()


def main(worker_id: str, worker_process: int, pipe: int) -> None:
    """Keep house until told to stop or until the worker is gone."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings()
    # It waits for no lock longer than until its next beat: whoever holds SQLite's may be what it has to end.
    patience = min(settings.heartbeat_seconds, settings.database_busy_seconds)
    database = Database(settings.database, patience, settings.heartbeat_seconds)
    children, couriers = Children(worker_process), Couriers()
    housekeeper = Housekeeper(
        database,
        settings,
        worker_id,
        publish_chunk,
        messages_waiting,
        children.lives,
        children.kill,
        couriers.start_another,
    )
    keep_house(housekeeper, settings, stop, worker_process, pipe)
    couriers.stop()


def keep_house(housekeeper: Housekeeper, settings: Settings, stop: Event, worker_process: int, pipe: int) -> None:
    """Beat and do the rounds, whatever fails meanwhile: the next round tries again."""
    next_beat = 0.0
    while os.getppid() == worker_process and not stop.is_set():
        _give_sign(pipe)
        if time.monotonic() >= next_beat and _is_done(housekeeper.beat):
            next_beat = time.monotonic() + settings.heartbeat_seconds
        _is_done(housekeeper.round)
        stop.wait(settings.housekeeping_seconds)
    try:
        housekeeper.leave()
    except (DBAPIError, DatabaseUnavailable) as error:
        log.warning("left without saying so; the lease will lapse", error=str(error).partition("\n")[0])


def _give_sign(pipe: int) -> None:
    with suppress(BlockingIOError, BrokenPipeError):  # a worker that is frozen or gone reads none
        os.write(pipe, b".")


def _is_done(step: Callable[[], None]) -> bool:
    try:
        step()
    except (DBAPIError, DatabaseUnavailable) as error:
        log.warning("database out of reach", error=str(error).partition("\n")[0])
    except PublishFailed as error:
        log.warning("broker out of reach", error=str(error))
    else:
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
