"""`demo`: the main job from end to end, in a throw-away directory, by the same commands that anybody types."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from commands.context import Invocation, pass_invocation
from jobs.errors import BrokerUnavailable

_READY_SECONDS = 30.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2


@click.command(short_help="The main job in a throw-away directory.")
@click.option(
    "--users",
    type=click.IntRange(min=50),
    default=5000,
    show_default=True,
    help="How many learners to make up.",
)
@pass_invocation
def demo(invocation: Invocation, *, users: int) -> None:
    """Make up records, start a broker and a worker, preview and run both resets, print their reports; clean up."""
    with tempfile.TemporaryDirectory(prefix="training-reset-") as directory:
        home = Path(directory)
        run = _Commands(home, invocation)
        run("db", "upgrade")
        run("records", "generate", "--users", str(users), "--seed", "1")
        with _serving(home):
            run("location", "use", "1")
            run("preview", "training", "--content-role", "1", "--location", "all")
            run(
                *("submit", "training", "--content-role", "1", "--location", "all"),
                *("--reason", "yearly re-certification", "--yes", "--watch"),
            )
            run("job", "report", "1", head=16)
            run("preview", "in-progress", "--all-users", "--all")
            run(
                *("submit", "in-progress", "--all-users", "--all"),
                *("--reason", "learners are stuck", "--yes", "--watch"),
            )
            run("job", "report", "2", "--format", "csv", head=8)
            run("job", "list")
            run("records", "verify")
            run("doctor")


class _Commands:
    """Runs commands of this program as processes, showing each as somebody would type it."""

    def __init__(self, home: Path, invocation: Invocation) -> None:
        self._environment = _environment(home)
        self._invocation = invocation
        self._options = [*(["--json"] if invocation.as_json else []), *(["-q"] if invocation.quiet else [])]

    def __call__(self, *arguments: str, head: int | None = None) -> None:
        """Run one command; with `head`, show only so many lines of what it prints."""
        self._invocation.say(f"\n$ training-reset {shlex.join(arguments)}{f' | head -{head}' if head else ''}")
        process = subprocess.run(
            [*_PROGRAM, *self._options, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE if head else None,
            text=True,
            check=False,
        )
        if head:
            lines = process.stdout.splitlines()
            click.echo("\n".join(lines[:head]))
            self._invocation.say(f"… {max(0, len(lines) - head):,} more lines")
        if process.returncode:
            raise click.ClickException(f"{shlex.join(arguments)} ended with exit code {process.returncode}")


_PROGRAM = (sys.executable, "-P", "-m", "cli")


def _environment(home: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("TRAINING_RESET_")}
    return others | {"TRAINING_RESET_HOME": str(home), "TRAINING_RESET_ACTOR": "root"}


@contextmanager
def _serving(home: Path) -> Iterator[None]:
    """Run `up` beside the demo until the demo ends, however it ends."""
    log_name = home / "up.log"
    with log_name.open("wb") as log:
        process = subprocess.Popen([*_PROGRAM, "up"], env=_environment(home), stdout=log, stderr=log, process_group=0)
    try:
        _wait_for_worker(home, process, log_name)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)


def _wait_for_worker(home: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        doctor = subprocess.run([*_PROGRAM, "doctor"], env=_environment(home), capture_output=True, check=False)
        if doctor.returncode == 0:
            return
        time.sleep(_POLL_SECONDS)
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise BrokerUnavailable(
        f"no worker started within {_READY_SECONDS:.0f} s (its last word: {last}); try 'up' by hand"
    )
