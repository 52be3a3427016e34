"""What may come between: a worker that sleeps, a chunk that is held before its commit, records that bite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Literal

from sqlalchemy import Connection, event

from jobs.database import Database, Isolation
from tests.small import Broker

_WAIT_SECONDS = 20


class Sleeper(Database):
    """The database of a worker that sleeps between its claim and its transaction, where it first reads the job."""

    def __init__(self, url: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(url)
        self.meanwhile = meanwhile

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.meanwhile()
        with super().read() as connection:
            yield connection


class Holder(Database):
    """The database of a worker whose chunks, or claims, wait, all done but the commit, until they are let go."""

    def __init__(self, url: str, held: Isolation = "REPEATABLE READ") -> None:
        super().__init__(url)
        self._held = held
        self.inside, self.let_go = Event(), Event()

    @contextmanager
    def write(self, isolation: Isolation = "READ COMMITTED") -> Iterator[Connection]:
        with super().write(isolation) as connection:
            yield connection
            if isolation == self._held:
                self.inside.set()
                assert self.let_go.wait(_WAIT_SECONDS)

    def wait_until_inside(self) -> None:
        assert self.inside.wait(_WAIT_SECONDS)


def sessions_that_wait(database: Database) -> int:
    """Count the sessions of a PostgreSQL database that wait for another one."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.read() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


Fault = Literal["none", "after the claim", "before the commit", "after the commit"]


class Died(BaseException):
    """A process was killed here; nothing in it gets to say a word."""


class Mortal(Database):
    """The database of a worker that can be made to die, or to sleep, at one of its commit points."""

    fault: Fault = "none"
    asleep: Callable[[], None] | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.fault == "after the claim":
            raise Died
        with super().read() as connection:
            yield connection

    @contextmanager
    def write(self, isolation: Isolation = "READ COMMITTED") -> Iterator[Connection]:
        of_chunk = isolation != "READ COMMITTED"
        if of_chunk and self.asleep is not None:
            sleep, self.asleep = self.asleep, None
            sleep()
        with super().write(isolation) as connection:
            yield connection
            if of_chunk and self.fault == "before the commit":
                raise Died
        if of_chunk and self.fault == "after the commit":
            raise Died


_BITE = {
    "sqlite": (
        (
            "CREATE TRIGGER poison BEFORE UPDATE ON chapter_progress WHEN OLD.user_id IN ({users}) "
            "BEGIN SELECT {expression}; END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION bite() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the row is cursed' USING ERRCODE = '{code}'; END $$"
        ),
        (
            "CREATE TRIGGER poison BEFORE UPDATE ON chapter_progress FOR EACH ROW "
            "WHEN (OLD.user_id IN ({users})) EXECUTE FUNCTION bite()"
        ),
    ),
}
_DOZE = (
    ("CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {does}; RETURN NEW; END $$"),
    (
        "CREATE TRIGGER poison BEFORE UPDATE ON chapter_progress FOR EACH ROW "
        "WHEN (OLD.user_id IN ({users})) EXECUTE FUNCTION doze()"
    ),
)


def poison(
    database: Database, users: list[int], code: str = "P0001", expression: str = "RAISE(ABORT, 'the row is cursed')"
) -> None:
    """Make every reset of these users' chapters fail: with PostgreSQL's error of this code, by SQLite's expression."""
    _plant(database, _BITE[database.dialect], users, code=code, expression=expression)


def drug(database: Database, users: list[int]) -> None:
    """Make every reset of these users' chapters take longer than PostgreSQL may wait."""
    _plant(database, _DOZE, users, does="pg_sleep(60)")


@contextmanager
def gate(database: Database, users: list[int]) -> Iterator[None]:
    """Let every reset of these users' chapters wait on PostgreSQL until the end of the context."""
    _plant(database, _DOZE, users, does="pg_advisory_xact_lock_shared(1)")
    with database.write() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
        yield


@contextmanager
def stumbling(database: Database, users: list[int]) -> Iterator[None]:
    """Let our own code raise an error, no database's, whenever it archives chapters of these users."""

    def stumble(*call: object) -> None:
        _, _, statement, parameters, *_ = call
        if "INTO archive_chapter_progress" in statement and any(str(user) in repr(parameters) for user in users):
            raise KeyError("no such column")

    event.listen(database.engine, "before_cursor_execute", stumble)
    yield
    event.remove(database.engine, "before_cursor_execute", stumble)


def heal(database: Database) -> None:
    """Undo `poison` and `drug`."""
    with database.write() as connection:
        on = " ON chapter_progress" if database.dialect == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER poison{on}")


def _plant(database: Database, statements: tuple[str, ...], users: list[int], **values: object) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.format(users=", ".join(map(str, users)), **values))


class MortalBroker(Broker):
    """A broker before which the dispatcher can die, after so many messages."""

    dies_after: int | None = None

    def __call__(self, chunk_id: int) -> None:
        if self.dies_after is not None:
            if self.dies_after <= 0:
                raise Died
            self.dies_after -= 1
        super().__call__(chunk_id)
