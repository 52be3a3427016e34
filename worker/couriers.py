"""The couriers beside the leading housekeeper: processes that send results and end when nothing is due."""

import subprocess
import sys
import time
from contextlib import suppress

from worker.offspring import die_with_parent

_MOST = 4
"""How many receivers that hang at once leave room for one that does not, less one."""
_STOP_SECONDS = 3.0


class Couriers:
    """The couriers that this process has started."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_another(self) -> None:
        """Start one more, unless there are enough."""
        self._processes = [process for process in self._processes if process.poll() is None]
        if len(self._processes) < _MOST:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "worker.courier"],
                    stdin=subprocess.DEVNULL,
                    preexec_fn=die_with_parent(),  # noqa: PLW1509 - there is no other thread
                )
            )

    def stop(self) -> None:
        """Let them hand back what they try to send, and end."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
                continue
            process.kill()
            process.wait()
