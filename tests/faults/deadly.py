"""For a Celery worker to include: one user, named in DEADLY_USER, kills every process that resets its records."""

import os
import signal

from sqlalchemy import Connection

from jobs import execution
from jobs.records.engine import ResetEngine, UserRows

_DEADLY = int(os.environ["DEADLY_USER"])
_reset = execution.reset_users


def reset_or_die(
    connection: Connection, engine: ResetEngine, job_id: int, users: list[int]
) -> tuple[UserRows, dict[int, str], int]:
    """Reset users, unless the deadly one is among them."""
    if _DEADLY in users:
        os.kill(os.getpid(), signal.SIGKILL)
    return _reset(connection, engine, job_id, users)


execution.reset_users = reset_or_die
