"""A broker that is none: a submit is recorded all the same, says so in one line and ends with code 0."""

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.program import Program

Behaviour = Callable[[socket.socket], None]


def talk_nonsense(connection: socket.socket) -> None:
    """Answer everything with an integer, which suits no greeting."""
    while connection.recv(4096):
        connection.sendall(b":42\r\n")


def talk_http(connection: socket.socket) -> None:
    """Answer like a web server that was asked in a language unknown to it."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>\xff\x00")


def say_nothing(connection: socket.socket) -> None:
    """Take everything and never answer."""
    while connection.recv(4096):
        pass


def close_at_once(connection: socket.socket) -> None:
    """Hang up."""
    connection.close()


@pytest.mark.parametrize("behave", [talk_nonsense, talk_http, say_nothing, close_at_once])
def test_a_broker_that_is_none_costs_a_warning_and_no_job(on_sqlite: Program, behave: Behaviour) -> None:
    with serving(behave) as port:
        submitted(on_sqlite, f"redis://127.0.0.1:{port}/0")


def test_a_broker_that_is_away_costs_a_warning_and_no_job(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    submitted(program, f"redis://127.0.0.1:{port}/0")


@pytest.mark.parametrize("url", ["amqp://ada:sesame@host", "redis://127.0.0.1:port"])
def test_a_broker_url_that_means_nothing_is_refused_before_anything_is_recorded(on_sqlite: Program, url: str) -> None:
    words = ("submit", "training", "--all-content", "--all-users", "--reason", "a test", "--yes")
    said = ("BROKER_URL", url.replace("sesame", "***"), "redis://")
    on_sqlite.refuses("--broker-url", url, *words, code=3, says=said)


def submitted(program: Program, broker_url: str) -> None:
    """Submit a job; make sure that it is recorded with its four users, and that one line says what happens next."""
    words = ("submit", "training", "--all-content", "--all-users", "--reason", "a test", "--yes")
    result = program.run("--json", *words, broker_url=broker_url, broker_connect_seconds="0.3")
    assert result.code == 0, result
    job = json.loads(result.out)
    assert (job["state"], job["users"]["total"]) == ("queued", 4)
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith(f"warning: job {job['id']} is recorded, but the broker")
    assert "; it runs when the broker is back" in result.err


@contextmanager
def serving(behave: Behaviour) -> Iterator[int]:
    """Serve connections on a port of this machine, and give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                behave(self.request)
            except ConnectionError:
                return  # the client had enough

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
