"""The housekeeper's process: `python -m worker.housekeeper WORKER_ID`, started by the worker beside it.

It ends when it is told to, and when its worker is gone.
"""

import os
import signal
import sys
import time
from threading import Event

import structlog
from sqlalchemy.exc import DBAPIError

from jobs.database import Database
from jobs.dispatch import PublishFailed
from jobs.errors import DatabaseUnavailable
from jobs.housekeeping import Housekeeper
from jobs.settings import Settings
from worker.children import Children
from worker.logs import configure_logging
from worker.publishing import messages_waiting, publish_chunk

log = structlog.get_logger()


def main(worker_id: str) -> None:
    """Keep house until told to stop or until the worker is gone."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings()
    database = Database(settings.database, settings.database_busy_seconds)
    children = Children(os.getppid())
    housekeeper = Housekeeper(
        database, settings, worker_id, publish_chunk, messages_waiting, children.lives, children.kill
    )
    keep_house(housekeeper, settings, stop)


def keep_house(housekeeper: Housekeeper, settings: Settings, stop: Event) -> None:
    """Beat and do the rounds, whatever fails meanwhile: the next round tries again."""
    worker, next_beat = os.getppid(), 0.0
    while os.getppid() == worker and not stop.is_set():
        try:
            if time.monotonic() >= next_beat:
                housekeeper.beat()
                next_beat = time.monotonic() + settings.heartbeat_seconds
            housekeeper.round()
        except (DBAPIError, DatabaseUnavailable) as error:
            log.warning("database out of reach", error=str(error).partition("\n")[0])
        except PublishFailed as error:
            log.warning("broker out of reach", error=str(error))
        stop.wait(settings.housekeeping_seconds)
    try:
        housekeeper.leave()
    except (DBAPIError, DatabaseUnavailable) as error:
        log.warning("left without saying so; the lease will lapse", error=str(error).partition("\n")[0])


if __name__ == "__main__":
    main(sys.argv[1])
