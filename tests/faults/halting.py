"""For a Celery worker to include: the first process that has claimed a chunk stops before the chunk's transaction.

It does so while the file named in HALT_ONCE is there, which it removes.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from jobs.execution import ChunkRunner
from jobs.records.engine import ResetEngine

_FLAG = Path(os.environ["HALT_ONCE"])
_load_engine = ChunkRunner._load_engine  # noqa: SLF001 - nothing else comes between a claim and its transaction


def load_and_halt(runner: ChunkRunner, job_id: int) -> ResetEngine:
    """Read the job as a runner does that has claimed its first chunk of it, and stop."""
    engine = _load_engine(runner, job_id)
    with suppress(FileNotFoundError):
        _FLAG.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    return engine


ChunkRunner._load_engine = load_and_halt  # type: ignore[method-assign]  # noqa: SLF001
