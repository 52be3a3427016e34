"""Handles to make jobs that tell of their end, to send what is due, and to read how it stands."""

import json
from typing import Any

from jobs.couriers import Courier
from jobs.database import Database
from jobs.services import Administration
from jobs.settings import Settings
from jobs.store.delivery_table import deliveries
from jobs.wording import json_line, status_object
from tests.receivers import SECRET
from tests.small import Row, dump, set_back, submit, work
from worker.courier import Sender

SETTINGS = Settings(result_secret=SECRET, result_tries=4)  # type: ignore[arg-type]
IMPATIENT = SETTINGS.model_copy(update={"result_timeout_seconds": 0.4})


def deliver(database: Database, settings: Settings = SETTINGS) -> int:
    """Send what is due, as a courier does, and give the number of tries."""
    courier, tries = Courier(database, settings, Sender(settings)), 0
    while courier.deliver_next():
        tries += 1
    return tries


def rows(database: Database) -> list[Row]:
    return dump(database)["deliveries"]


def row(database: Database) -> Row:
    (found,) = rows(database)
    return found


def make_due(database: Database) -> None:
    """Let the wait before the next try be over."""
    set_back(database, deliveries, "due_at", state="waiting")


def ended_job(database: Database, *targets: str) -> int:
    job = submit(database, on_result=targets)
    work(database)
    return job


def status_json(database: Database, job: int) -> Any:  # noqa: ANN401 - parsed JSON
    return json.loads(json_line(status_object(Administration(database, "root").status(job))))
