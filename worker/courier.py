"""The courier's process: `python -m worker.courier`, started by the leading housekeeper when results are due.

It sends until nothing is due, and ends. A process of its own, because a receiver may answer a byte an hour: a try is
ended by the system's alarm clock, whatever it waits for, and neither a chunk nor a heartbeat ever waits for it.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

import structlog
from sqlalchemy.exc import DBAPIError

from jobs.couriers import Courier
from jobs.database import Database, first_line
from jobs.delivery import Delivery, SendFailed
from jobs.errors import DatabaseUnavailable
from jobs.following import JobStatus
from jobs.settings import Settings
from jobs.targets import read_target
from jobs.wording import json_line, result_object
from worker.logs import configure_logging
from worker.mail import mail_result
from worker.webhook import post_result

log = structlog.get_logger()

_RINGS_AGAIN_SECONDS = 1.0


def main() -> None:
    """Send what is due, until nothing is."""
    configure_logging()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = Settings()
    database = Database(settings.database, settings.database_busy_seconds, settings.statement_timeout_seconds)
    courier = Courier(database, settings, Sender(settings))
    try:
        while courier.deliver_next():
            pass
    except (DBAPIError, DatabaseUnavailable) as error:
        reason = first_line(error) if isinstance(error, DBAPIError) else str(error)
        log.warning("database out of reach; results are sent later", error=reason)


class Sender:
    """Sends a result the way that its target asks for, and gives up when it takes too long."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, delivery: Delivery, status: JobStatus, moment: datetime) -> None:
        """Send a result; raises SendFailed."""
        seconds = self._settings.result_timeout_seconds
        try:
            with alarm(seconds):
                self._send(delivery, status, moment)
        except TookTooLong as error:
            raise SendFailed(f"it took longer than {seconds:g} s") from error

    def _send(self, delivery: Delivery, status: JobStatus, moment: datetime) -> None:
        address = read_target(delivery.target).address
        if address is not None:
            mail_result(self._settings, address, delivery.message_id, moment, status)
            return
        body = json_line(result_object(status)).encode()
        post_result(self._settings, delivery.target, delivery.message_id, moment, body)


class TookTooLong(Exception):
    """The alarm clock rang."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TookTooLong out of whatever still runs after so many seconds, and again each second until it is out.

    Python loses what is raised while it happens to collect garbage, and what a library swallows is lost too.
    """

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _RINGS_AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


if __name__ == "__main__":
    main()
