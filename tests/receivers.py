"""Real servers on loopback that take results: one that is posted to and one that is mailed to.

What is posted is checked by rules written down here, not by the code under test.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

HANG, DRIP = "hang", "drip"


@dataclass(frozen=True)
class Post:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def result(self) -> Any:  # noqa: ANN401 - parsed JSON
        """What the body says."""
        return json.loads(self.body)

    @property
    def message_id(self) -> str:
        """The id that is the same for every copy."""
        return self.headers["webhook-id"]

    def is_signed_with(self, key: bytes) -> bool:
        """Tell whether one of the signatures is this key's over id, time and body."""
        signed = f"{self.message_id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """A web server that answers as it is told to.

    Attributes:
        answers: a status for each request, or HANG or DRIP; the last one for all that follow.
        headers: what goes with every answer.
        posts: what was posted so far.

    """

    answers: list[int | str] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    port: int = 0
    authority: trustme.CA | None = None
    _closed: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def url(self, path: str = "/hook", user: str = "") -> str:
        """Give the URL to post to."""
        scheme = "http" if self.authority is None else "https"
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}{path}"

    @contextmanager
    def serving(self) -> Iterator["Receiver"]:
        """Serve until the end of the block, on the same port as before if there was one."""
        self._closed.clear()
        with _Server(("127.0.0.1", self.port), self._handler()) as server:
            self.port = server.server_port
            if self.authority is not None:
                server.socket = server_context(self.authority).wrap_socket(server.socket, server_side=True)
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                self._closed.set()
                server.shutdown()
                thread.join()

    def take(self, post: Post) -> int | str:
        """Keep what was posted and give the answer."""
        with self._lock:
            self.posts.append(post)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver.take(Post(self.path, headers, body))
                with suppress(OSError):
                    self._answer(answer)

            def _answer(self, answer: int | str) -> None:
                if answer == HANG:
                    receiver._closed.wait(60)
                elif answer == DRIP:  # never silent for long, and never done
                    while not receiver._closed.wait(0.05):
                        self.wfile.write(b"H")
                        self.wfile.flush()
                else:
                    self.send_response(int(answer))
                    for name, value in receiver.headers.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """Give TLS for a server on loopback, vouched for by an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


async def _end_connections(connections: list[SMTP]) -> None:
    """End what is still open, and let the loop see that it has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for connection in connections:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Mailbox:
    """A mail server that keeps what it takes.

    Args:
        user: who may log in, as `name:password`; nobody need log in unless given.
        authority: vouches for its certificate; without it there is no TLS.
        from_the_start: TLS at once, instead of STARTTLS.
        answer: what it answers to a recipient.

    """

    def __init__(
        self,
        *,
        user: str | None = None,
        authority: trustme.CA | None = None,
        from_the_start: bool = False,
        answer: str = "250 OK",
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.log_ins: list[tuple[str, str]] = []
        self._user, self._answer = user, answer
        self._context = None if authority is None else server_context(authority)
        self._from_the_start = from_the_start
        self.port = 0

    def url(self, user: str = "", scheme: str = "smtp") -> str:
        """Give what SMTP_URL says."""
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator["Mailbox"]:
        """Serve until the end of the block."""
        options: dict[str, Any] = {}
        if self._user is not None:
            started = self._context is not None and not self._from_the_start
            options |= {"authenticator": self._authenticate, "auth_required": started, "auth_require_tls": started}
        if self._context is not None and not self._from_the_start:
            options["tls_context"] = self._context
        at_once = self._context if self._from_the_start else None
        loop = asyncio.new_event_loop()
        connections: list[SMTP] = []

        def connection() -> SMTP:
            connections.append(SMTP(self, loop=loop, **options))
            return connections[-1]

        listening = loop.create_server(connection, "127.0.0.1", 0, ssl=at_once)
        server = loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        thread = Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            loop.run_until_complete(_end_connections(connections))
            loop.close()

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self._answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self._answer

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self.recipients += envelope.rcpt_tos
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        return "250 OK"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        name, password = given.login.decode(), given.password.decode()
        self.log_ins.append((name, password))
        return AuthResult(success=f"{name}:{password}" == self._user, handled=False)
