"""The processes of one worker, as the housekeeper beside it sees them."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROCESSES = Path("/proc")
_DEAD_STATES = ("Z", "X")


@dataclass(frozen=True)
class Children:
    """The worker's first process and those that it forked."""

    worker: int

    def lives(self, process_id: int) -> bool:
        """Tell whether a process is alive and this worker's; its number may have gone to somebody else's."""
        if not _PROCESSES.is_dir():
            return _answers(process_id)
        try:
            fields = (_PROCESSES / str(process_id) / "stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return False
        state, parent = fields[0], int(fields[1])
        return state not in _DEAD_STATES and self.worker in (process_id, parent)

    def kill(self, process_id: int) -> None:
        """End a process at once; Celery replaces it."""
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)


def _answers(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
