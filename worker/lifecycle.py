"""What happens around a Celery worker: it has a housekeeper beside it, and its children start afresh.

The housekeeper is a process of its own. A thread with a database connection must not live in the process that
forks the pool; a process of its own can also outlive a frozen pool and see its children die.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any

import structlog
from celery.signals import setup_logging, worker_init, worker_process_init, worker_ready, worker_shutdown

from jobs.settings import Settings
from worker.identity import worker_id
from worker.logs import configure_logging

log = structlog.get_logger()

_LEAVE_SECONDS = 5.0
_START_SECONDS = 60.0
"""What a housekeeper may take for its start, on however busy a machine."""


class HousekeeperProcess:
    """The housekeeper beside this worker, started again if it ends by itself.

    It gives a sign of life in each of its rounds. One that falls silent for longer than a lease has lost that of its
    worker, and may be frozen with a lock on everything: it is killed, and another takes its place. Before its first
    round it holds nothing, and has more time.

    Args:
        lease_seconds: how long it may be silent between two rounds.

    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._signs, self._end_for_signs = os.pipe()
        self._patience = self._heard_at = 0.0
        for end in (self._signs, self._end_for_signs):
            os.set_blocking(end, False)

    def ensure(self) -> None:
        """Start it if it does not run."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        elif self._silent_seconds() > self._patience:
            log.warning("silent housekeeper killed", process=self._process.pid)
            self._process.kill()

    def _start(self) -> None:
        pipe = self._end_for_signs
        self._silent_seconds()  # the signs of the one before are not its own
        # In a group of its own, so that a Ctrl-C at the terminal leaves it to the worker to end it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.housekeeper", worker_id(), f"{os.getpid()}", f"{pipe}"],
            stdin=subprocess.DEVNULL,
            pass_fds=(pipe,),
            process_group=0,
        )
        self._patience, self._heard_at = max(self._lease, _START_SECONDS), time.monotonic()

    def _silent_seconds(self) -> float:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._signs, 4096):
                self._patience, self._heard_at = self._lease, time.monotonic()
        return time.monotonic() - self._heard_at

    def stop(self) -> None:
        """Let it give back what it holds, and end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE_SECONDS)
            return
        self._process.kill()
        self._process.wait()


def connect(settings: Settings) -> None:
    """Connect to the signals of a Celery worker in this process; other processes send none."""
    housekeeper = HousekeeperProcess(settings.lease_seconds)

    def start(**_: object) -> None:
        housekeeper.ensure()

    def watch(sender: Any, **_: object) -> None:  # noqa: ANN401 - Celery's consumer has no type
        sender.timer.call_repeatedly(settings.housekeeping_seconds, housekeeper.ensure)
        # Celery looks for a dead child at once, which is too early on a busy machine, and then every five seconds.
        sender.timer.call_repeatedly(settings.housekeeping_seconds, sender.pool.maintain_pool)

    def stop(**_: object) -> None:
        housekeeper.stop()

    setup_logging.connect(_set_up_logs, weak=False)
    worker_init.connect(start, weak=False)
    worker_ready.connect(watch, weak=False)
    worker_process_init.connect(_start_afresh, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _set_up_logs(**_: object) -> None:
    configure_logging()


def _start_afresh(**_: object) -> None:
    from worker.tasks import forget_inherited  # noqa: PLC0415 - the tasks import the application first

    forget_inherited()
