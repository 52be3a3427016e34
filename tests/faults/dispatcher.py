"""A process that dispatches and goes wrong at the worst moment: `python dispatcher.py dies|fails`.

It fills the window as a command does that submits, on the database and the broker of its environment.
"""

import os
import signal
import sys

from jobs import dispatch
from jobs.database import Database
from jobs.settings import Settings
from worker.publishing import publish_chunk


def die(_chunk_id: int) -> None:
    """End between the commit and the first message."""
    os.kill(os.getpid(), signal.SIGKILL)


def deliver_and_fail(chunk_id: int) -> None:
    """Deliver a message and say that it may not have arrived, as a broker does that answers too late."""
    publish_chunk(chunk_id)
    raise dispatch.PublishFailed("timed out")


if __name__ == "__main__":
    settings = Settings()
    try:
        dispatch.fill(Database(settings.database), settings, {"dies": die, "fails": deliver_and_fail}[sys.argv[1]])
    except dispatch.PublishFailed:
        sys.exit(1)
