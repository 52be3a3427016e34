"""Send the results of ended jobs to whoever asked for them, one try after the other.

The database says what is due and to whom; a row is claimed with a lease, so that a sender that dies costs time and at
worst a second copy. Nothing here touches a job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from traceback import extract_tb

import structlog

from jobs.database import Database, read_now
from jobs.delivery import Delivery, SendFailed, wait_seconds
from jobs.following import JobStatus, statuses_of
from jobs.settings import Settings
from jobs.store import delivery_rows, job_rows
from jobs.targets import shown_target

log = structlog.get_logger()

Send = Callable[[Delivery, JobStatus, datetime], None]
"""Send a result, dated by the database's clock; raises SendFailed."""


@dataclass(frozen=True)
class Courier:
    """Sends results, one at a time."""

    database: Database
    settings: Settings
    send: Send

    def deliver_next(self) -> bool:
        """Try to deliver one result that is due; tell whether there was one."""
        settings = self.settings
        with self.database.write() as connection:
            delivery = delivery_rows.claim_next(connection, settings.result_timeout_seconds + settings.lease_seconds)
            if delivery is not None and delivery.tries > settings.result_tries:  # its last sender died of it
                delivery_rows.give_up_if_latest(connection, delivery, f"{delivery.error}")
                return True
        if delivery is None:
            return False
        try:
            self._try(delivery)
        except BaseException as broken_off:
            if not isinstance(broken_off, Exception):  # told to stop: somebody else tries at once
                with self.database.write() as connection:
                    delivery_rows.release_if_latest(connection, delivery)
            raise
        return True

    def _try(self, delivery: Delivery) -> None:
        with self.database.read() as connection:
            job = job_rows.find_job(connection, delivery.job_id)
            if job is None:
                raise AssertionError(f"job {delivery.job_id} vanished with a result to be sent")
            status, now = statuses_of(connection, [job])[0], read_now(connection)
        told = {"job": job.id, "target": shown_target(delivery.target), "tries": delivery.tries}
        try:
            self.send(delivery, status, now)
        except SendFailed as failure:
            log.warning("result not delivered", **told, error=failure.reason)
            self._note(delivery, failure)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not tried for ever, and shows no credentials
            place = extract_tb(error.__traceback__)[-1]
            log.warning("sending failed", **told, error=type(error).__name__, place=f"{place.filename}:{place.lineno}")
            self._note(delivery, SendFailed(f"unexpected {type(error).__name__}"))
            return
        with self.database.write() as connection:
            delivery_rows.mark_delivered(connection, delivery)
        log.info("result delivered", **told)

    def _note(self, delivery: Delivery, failure: SendFailed) -> None:
        """Have a result tried again later, or give it up."""
        settings = self.settings
        with self.database.write() as connection:
            if failure.final or delivery.tries >= settings.result_tries:
                delivery_rows.give_up_if_latest(connection, delivery, failure.reason)
                return
            longest = settings.result_retry_max_seconds
            wait = wait_seconds(delivery.tries, settings.result_retry_seconds, longest)
            asked = min(failure.wait_seconds, longest)
            delivery_rows.mark_failed_if_latest(connection, delivery, failure.reason, max(wait, asked))
