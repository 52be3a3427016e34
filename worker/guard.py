"""Stands between the supervisor and the worker, so that a supervisor that is killed leaves nothing behind.

It leads a session of its own with the worker in it, and ends the worker in stages: asked to finish, told to
leave, killed. It is told to by a byte on its standard input, and takes the end of that input for the
supervisor's death; then it also stops the embedded broker. If the guard itself is killed, the system kills
the worker. Whatever else is left of its session it kills, and writes the worker's exit code to its output.

The standard library only, because it lives as long as the worker.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from worker.offspring import die_with_parent, kill_session

STOP = b"s"
STOP_NOW = b"q"

QUIT_SECONDS = 3.0
"""How long the worker may take to leave what it does."""
KILL_SECONDS = 1.0
"""How long the system may take to kill the worker."""

_STOP_STAGE = 1
_STOP_NOW_STAGE = 2


def command_line(grace_seconds: float, home: Path | None, worker: list[str]) -> list[str]:
    """Give the command that runs a worker under a guard.

    Args:
        grace_seconds: how long the worker may go on with what it does once it is asked to stop.
        home: the data directory whose embedded broker to stop should the supervisor be gone, if it has one.
        worker: the worker's own command.

    """
    return [sys.executable, "-P", "-m", "worker.guard", str(grace_seconds), str(home or ""), *worker]


class Ending:
    """The stages in which a process is ended, each with its signal and its time.

    Args:
        send: sends a signal to the process.
        grace_seconds: how long the first stage may take.

    """

    def __init__(self, send: Callable[[int], None], grace_seconds: float) -> None:
        self._send = send
        self._stages = (
            (signal.SIGTERM, grace_seconds),
            (signal.SIGQUIT, QUIT_SECONDS),
            (signal.SIGKILL, KILL_SECONDS),
        )
        self._stage = 0
        self._deadline: float | None = None

    def advance_to(self, stage: int) -> None:
        """Go to a stage, unless it is there already or further."""
        if stage > self._stage:
            number, seconds = self._stages[stage - 1]
            self._stage = stage
            self._deadline = time.monotonic() + seconds
            self._send(number)

    def go_on_when_due(self) -> bool:
        """Go to the next stage when this one's time is over; false when the last one's is."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return True
        if self._stage == len(self._stages):
            return False
        self.advance_to(self._stage + 1)
        return True

    def seconds_left(self) -> float | None:
        """How long this stage may still take; none where nothing is ending."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())


def main() -> None:
    """Run the worker named on the command line until it ends."""
    grace_seconds, home, *command = sys.argv[1:]
    woken = _wake_on_signals()
    worker = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),  # the guard's own output is for the supervisor alone
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - there is no other thread
    )
    supervised = _watch(worker, Ending(worker.send_signal, float(grace_seconds)), woken)
    if not supervised and home:
        from worker.embedded import EmbeddedBroker  # noqa: PLC0415 - rarely needed

        EmbeddedBroker(Path(home)).stop_if_unused()
    code = worker.poll()
    kill_session(os.getpid())
    if supervised:
        os.write(1, str(_exit_code(code)).encode())


def _watch(worker: subprocess.Popen[bytes], ending: Ending, woken: int) -> bool:
    """Return when the worker has ended or cannot be killed; says whether the supervisor is still there."""
    supervised = True
    while worker.poll() is None and ending.go_on_when_due():
        inputs = [woken, 0] if supervised else [woken]
        readable, _, _ = select.select(inputs, [], [], ending.seconds_left())
        if woken in readable and signal.SIGTERM in os.read(woken, 64):
            ending.advance_to(_STOP_STAGE)
        if 0 in readable:
            orders = os.read(0, 64)
            supervised = bool(orders)
            ending.advance_to(_STOP_NOW_STAGE if STOP_NOW in orders else _STOP_STAGE)
    return supervised


def _wake_on_signals() -> int:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reader


def _exit_code(code: int | None) -> int:
    if code is None:
        return 128 + signal.SIGKILL
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
