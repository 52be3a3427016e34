"""What `training-reset up` and `training-reset worker` run in the foreground: a worker, and its broker.

It starts the embedded broker where no other is configured and keeps it alive, runs Celery as a process of its
own under a guard, starts it again when it dies, and on a signal lets it finish what it does, within half a
minute whatever happens. It knows nothing of jobs, and neither imports Celery nor connects to anything.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import Self

import structlog
from pydantic import SecretStr

from jobs.errors import BrokerUnavailable, TrainingResetError
from jobs.settings import Settings
from worker import guard
from worker.configuration import SILENT
from worker.embedded import EmbeddedBroker
from worker.offspring import kill_session

MAX_GRACE_SECONDS = 20.0
"""No setting lets a stop last longer than half a minute, the other stages included."""
QUICK_DEATH_SECONDS = 10.0
"""A worker that dies sooner after its start than this does not count as having worked."""
MAX_QUICK_DEATHS = 5

_TICK_SECONDS = 1.0
_PREFIX = "TRAINING_RESET_"
_KILLED = 128 + signal.SIGKILL

Handler = Callable[[int, FrameType | None], object]

log = structlog.get_logger(__name__)


def run_worker_tree(
    settings: Settings,
    *,
    concurrency: int,
    celery_arguments: Sequence[str] = (),
    application: str = "worker.app",
    log_level: str = "INFO",
) -> int:
    """Run a worker, and the embedded broker where none is configured, until SIGINT, SIGTERM or SIGHUP.

    The first signal lets the worker finish what it does, for `shutdown_seconds` and never more than 20; a
    second one does not wait. Must be called from the main thread.

    Args:
        settings: passed on to the worker through its environment.
        concurrency: how many chunks the worker runs at once.
        celery_arguments: further options of `celery worker`.
        application: the module of the Celery application.
        log_level: Celery's name of a log level.

    Returns:
        The exit code: 0 after a stop that was asked for.

    Raises:
        BrokerUnavailable: the embedded broker cannot be started.
        TrainingResetError: the worker dies again and again as soon as it is started.

    """
    command = worker_command(application, concurrency, log_level, celery_arguments)
    with ExitStack() as stack:
        stops = stack.enter_context(StopSignals())
        broker = stack.enter_context(EmbeddedBroker(settings.home)) if settings.broker_url is None else None
        return _Supervisor(settings, command, broker, stops).run()


def worker_command(
    application: str, concurrency: int, log_level: str, celery_arguments: Sequence[str] = ()
) -> list[str]:
    """Give the command line of a Celery worker as this system wants it."""
    return [
        *(sys.executable, "-P", "-m", "worker", "-A", application, "worker"),
        *SILENT,
        *("--hostname", f"training-reset-{os.getpid()}@%h"),
        *("--concurrency", str(concurrency), "--loglevel", log_level),
        *celery_arguments,
    ]


def worker_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment in which another process finds exactly these settings."""
    values = {name: _plain(getattr(settings, name)) for name in Settings.model_fields}
    values["home"] = settings.home.absolute()
    ours = {f"{_PREFIX}{name.upper()}": value for name, value in values.items()}
    others = {name: value for name, value in environment.items() if name not in ours}
    return others | {name: str(value) for name, value in ours.items() if value is not None}


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def restart_delay(quick_deaths: int) -> float | None:
    """How many seconds to wait before the worker is started again; none to give up.

    Args:
        quick_deaths: how many times in a row it died soon after its start.

    """
    return None if quick_deaths >= MAX_QUICK_DEATHS else 0.25 * 2.0**quick_deaths


class StopSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP are counted instead of obeyed."""

    def __init__(self) -> None:
        self.count = 0
        self.first_at: float | None = None
        self._before: dict[int, signal.Handlers | Handler | int | None] = {}
        self._woken = self._wake = self._wake_before = -1

    def __enter__(self) -> Self:
        """Take the signals over."""
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._wake_before = signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A shell ignores SIGINT for what a script runs in the background; a kill -INT from there is still meant.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wake_before)
        os.close(self._woken)
        os.close(self._wake)

    def wait(self, seconds: float, worker: "WorkerProcess | None" = None) -> None:
        """Return after so many seconds, or sooner on a signal or on the worker's end."""
        inputs = [self._woken] if worker is None else [self._woken, worker.fileno()]
        if self._woken in select.select(inputs, [], [], max(0.0, seconds))[0]:
            os.read(self._woken, 64)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.first_at = self.first_at or time.monotonic()


class WorkerProcess:
    """A worker under a guard: whatever is killed, nothing of it stays.

    Args:
        settings: passed on to the worker through its environment.
        command: see `worker_command`.

    """

    def __init__(self, settings: Settings, command: Sequence[str]) -> None:
        self.started_at = time.monotonic()
        self.grace_seconds = min(settings.shutdown_seconds, MAX_GRACE_SECONDS)
        home = settings.home.absolute() if settings.broker_url is None else None
        self._code: int | None = None
        environment = worker_environment(settings, os.environ)
        environment.pop("REMAP_SIGTERM", None)  # the guard's SIGTERM asks to finish, never to drop
        self._guard = subprocess.Popen(
            guard.command_line(self.grace_seconds, home, list(command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a Ctrl-C at the terminal must not reach it
        )

    def stop(self) -> None:
        """Ask the worker to finish what it does and leave; returns at once."""
        self._order(guard.STOP)

    def stop_now(self) -> None:
        """Tell the worker to leave what it does; returns at once."""
        self._order(guard.STOP_NOW)

    def fileno(self) -> int:
        """Give the descriptor that becomes readable when the worker ends; good until `poll` has told so."""
        assert self._guard.stdout is not None  # noqa: S101 - a pipe was asked for
        return self._guard.stdout.fileno()

    def poll(self) -> int | None:
        """Give the exit code once the worker has ended; nothing of it is left then."""
        if self._code is None and select.select([self.fileno()], [], [], 0)[0]:
            said = os.read(self.fileno(), 16)
            self.kill()
            self._code = int(said) if said else _KILLED
        return self._code

    def kill(self) -> None:
        """Kill the worker with all that belongs to it, unless it has ended."""
        if self._code is None:
            kill_session(self._guard.pid)
            self._guard.communicate()
            self._code = _KILLED

    def _order(self, order: bytes) -> None:
        assert self._guard.stdin is not None  # noqa: S101 - a pipe was asked for
        with suppress(BrokenPipeError):
            os.write(self._guard.stdin.fileno(), order)


class _Supervisor:
    def __init__(
        self, settings: Settings, command: Sequence[str], broker: EmbeddedBroker | None, stops: StopSignals
    ) -> None:
        self._settings = settings
        self._command = command
        self._broker = broker
        self._stops = stops
        self._broker_error = ""

    def run(self) -> int:
        quick_deaths = 0
        while not self._stops.count:
            worker = WorkerProcess(self._settings, self._command)
            try:
                code = self._watch(worker)
                if code is None:
                    self._stop(worker)
                    return 0
            finally:
                worker.kill()
            if code == 0:
                log.info("worker was asked to leave by somebody else")
                return 0
            lived = time.monotonic() - worker.started_at
            quick_deaths = quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
            self._pause(code, quick_deaths)
        return 0

    def _watch(self, worker: WorkerProcess) -> int | None:
        """Give the exit code of a worker that ended by itself, or none when a stop is asked for."""
        while not self._stops.count:
            self._stops.wait(_TICK_SECONDS, worker)
            if (code := worker.poll()) is not None:
                return code
            self._keep_broker()
        return None

    def _stop(self, worker: WorkerProcess) -> None:
        log.info("stopping; the worker finishes what it does", seconds=worker.grace_seconds)
        worker.stop()
        asked = self._stops.first_at or time.monotonic()
        deadline = asked + worker.grace_seconds + guard.QUIT_SECONDS + guard.KILL_SECONDS
        while worker.poll() is None and time.monotonic() < deadline:
            if self._stops.count > 1:
                worker.stop_now()
            self._stops.wait(deadline - time.monotonic(), worker)

    def _pause(self, code: int, quick_deaths: int) -> None:
        delay = restart_delay(quick_deaths)
        if delay is None:
            raise TrainingResetError(
                f"the worker died {quick_deaths} times within {QUICK_DEATH_SECONDS:g} s of its start, "
                f"at last with exit code {code}; see its messages above"
            )
        log.warning("worker died and is started again", exit_code=code, seconds=delay)
        deadline = time.monotonic() + delay
        while not self._stops.count and time.monotonic() < deadline:
            self._stops.wait(deadline - time.monotonic())

    def _keep_broker(self) -> None:
        if self._broker is None:
            return
        try:
            self._broker.ensure_running()
        except BrokerUnavailable as error:
            if error.message != self._broker_error:
                log.warning("embedded broker is away", reason=error.message)
            self._broker_error = error.message
        else:
            self._broker_error = ""
