"""The processes of a Celery worker: its pool and the housekeeper beside it, to be killed, frozen and thawed."""

from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.installation import Worker
from tests.small import Row


class CeleryWorker(Worker):
    """A Celery worker, started as operators of Celery do: its pool, and the housekeeper beside it."""

    def housekeepers(self) -> list[psutil.Process]:
        """Give the housekeeper, or none while it is started again."""
        return [child for child in self._family() if _is_housekeeper(child)]

    def children(self) -> list[psutil.Process]:
        """Give the processes that run chunks."""
        return [child for child in self._family() if not _is_housekeeper(child)]

    def freeze(self, *, housekeeper: bool = True) -> None:
        """Stop the worker and its children, and the housekeeper too unless told otherwise."""
        self.process.suspend()
        for process in self.children() + (self.housekeepers() if housekeeper else []):
            process.suspend()

    def thaw(self) -> None:
        """Let everything go on that was frozen."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _family(self) -> list[psutil.Process]:
        return [child for child in self.process.children() if _lives(child)]


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_housekeeper(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "worker.housekeeper" in process.cmdline()
    return False


@dataclass(frozen=True)
class AtWork:
    """A child that holds a chunk."""

    worker: CeleryWorker
    process: psutil.Process
    chunk: Row

    @property
    def users(self) -> range:
        """The ordinals of the chunk's users."""
        return range(self.chunk["first_ordinal"], self.chunk["last_ordinal"] + 1)
