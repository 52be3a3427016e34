"""The id of this worker: made once in its first process, and inherited by the processes that it forks."""

import os
import socket
import uuid
from functools import cache


@cache
def worker_id() -> str:
    """Give the worker's id: readable, and never used by another worker."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
