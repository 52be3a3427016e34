"""The program's own processes: its command line, and workers, each in a session of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from worker.offspring import kill_session

PROGRAM = str(Path(sys.executable).with_name("training-reset"))
_Found = TypeVar("_Found")


def wait_for(condition: Callable[[], _Found | None], what: str, seconds: float = 300) -> _Found:
    """Wait until a condition gives something true, and give that.

    Raises:
        TimeoutError: naming what was waited for.

    """
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.005)
    return found


class WorkerProcess:
    """A worker that was started, with its children."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as output:
            self.process = psutil.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it takes messages.

        Raises:
            RuntimeError: it ended instead, with what it said.

        """
        wait_for(lambda: " ready." in self._log.read_text() or self.process.poll() is not None, "a worker", 60)
        if self.process.poll() is not None:
            raise RuntimeError(self._log.read_text())

    def peak_memory_kib(self) -> int:
        """Give the largest resident memory that any of its processes has had."""
        return max(_peak_kib(process) for process in (self.process, *self.process.children(recursive=True)))

    def stop(self) -> None:
        """Let it end in order; kill what does not."""
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        self.kill()

    def kill(self) -> None:
        """End it with all its children at once."""
        kill_session(self.process.pid)
        self.process.wait()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[WorkerProcess]:
    """Run a worker from when it is ready until the end of the context."""
    worker = WorkerProcess(command, environment, log)
    try:
        worker.wait_until_ready()
        yield worker
        worker.stop()
    finally:
        worker.kill()


def environment(url: str, broker_url: str, home: Path, **settings: object) -> dict[str, str]:
    """Give the environment in which the program finds a database and a broker, and acts as root."""
    ours = {"HOME": home, "DATABASE_URL": url, "BROKER_URL": broker_url, "ACTOR": "root"} | settings
    outside = {name: value for name, value in os.environ.items() if not name.startswith("TRAINING_RESET_")}
    return outside | {f"TRAINING_RESET_{name}": str(value) for name, value in ours.items()}


def _peak_kib(process: psutil.Process) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
