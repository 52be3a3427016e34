"""Find users: who acts, and whose records a request is about."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Row, Select, false, not_, select

from jobs.errors import InputRefused, NotFound, NothingMeant, shown
from jobs.idsets import id_sets
from jobs.model import Access, Actor
from jobs.records import tables
from jobs.schema import MAX_ID
from jobs.scope import UserSelection

_BATCH = 500


@dataclass(frozen=True)
class Location:
    """A site."""

    id: int
    name: str


@dataclass(frozen=True)
class Targets:
    """The users of a request as a query for their ids, to be frozen in one statement or read."""

    ids: Select[int]
    parameters: dict[str, object]

    def read(self, connection: Connection) -> Iterator[int]:
        """Give the ids in order."""
        query = self.ids.order_by(tables.users.c.id).execution_options(yield_per=10_000)
        yield from connection.execute(query, self.parameters).scalars()


def find_actor(connection: Connection, login: str) -> Actor:
    """Find who acts.

    Raises:
        NotFound: nobody has this login.

    """
    users = tables.users.c
    row = connection.execute(
        select(users.id, users.login, users.access, users.location_id).where(users.login == login)
    ).one_or_none()
    if row is None:
        raise NotFound(f"no user has the login {login!r}; check --as or TRAINING_RESET_ACTOR")
    return _actor(row)


def _actor(row: Row[int, str, str, int]) -> Actor:
    return Actor(id=row[0], login=row[1], access=Access(row[2]), location_id=row[3])


def find_user(connection: Connection, word: str) -> Actor | None:
    """Find a user by id (digits) or login."""
    users = tables.users.c
    if word.isascii() and word.isdigit():
        named = users.id == int(word) if len(word) <= len(str(MAX_ID)) and int(word) <= MAX_ID else false()
    else:
        named = users.login == word
    row = connection.execute(select(users.id, users.login, users.access, users.location_id).where(named)).one_or_none()
    return None if row is None else _actor(row)


def find_location(connection: Connection, location_id: int) -> Location:
    """Find a location.

    Raises:
        NotFound: there is none of this id.

    """
    table = tables.locations
    row = None
    if 0 < location_id <= MAX_ID:
        row = connection.execute(select(table.c.id, table.c.name).where(table.c.id == location_id)).one_or_none()
    if row is None:
        raise NotFound(f"no location has the id {location_id}; 'training-reset location list' names them")
    return Location(row.id, row.name)


def resolve_users(
    connection: Connection,
    selection: UserSelection,
    location: Location | None,
    content_roles: Collection[int],
    *,
    names_other_locations: bool,
) -> Targets:
    """Give the users that a request is about.

    Args:
        connection: where to look them up.
        selection: the users as they were named.
        location: where they must belong, or None for all locations.
        content_roles: whose holders are meant where no user is named.
        names_other_locations: whether a refusal may say where a user is instead.

    Raises:
        InputRefused: users that are unknown or not at the location, all of them named.
        NothingMeant: nobody is left.

    """
    users, sets = tables.users.c, id_sets(connection.dialect.name)
    named = _find_named(connection, selection.ids, selection.logins)
    excluded = _find_named(connection, selection.excluded_ids, selection.excluded_logins)
    for found in (named, excluded):
        found.refuse_missing(connection, location, names_other_locations=names_other_locations)
    query, parameters = select(users.id), dict[str, object]()
    if location is not None:
        query = query.where(users.location_id == location.id)
    if selection.named:
        query = query.where(sets.among(users.id, "named_users"))
        parameters |= sets.parameters("named_users", named.ids)
    elif not selection.all_users:
        holders = tables.user_content_roles.c
        query = query.where(users.id.in_(select(holders.user_id).where(sets.among(holders.content_role_id, "roles"))))
        parameters |= sets.parameters("roles", content_roles)
    if excluded.ids:
        query = query.where(not_(sets.among(users.id, "excluded_users")))
        parameters |= sets.parameters("excluded_users", excluded.ids)
    targets = Targets(query, parameters)
    if connection.execute(query.limit(1), parameters).first() is None:
        where = "any location" if location is None else location.name
        raise NothingMeant(f"no user at {where} is meant by this request; choose other users or another location")
    return targets


def users_among(connection: Connection, user_ids: Collection[int], location: Location | None) -> Targets | None:
    """Give those of the users who are still at the location (None: anywhere), or None if nobody is."""
    users, sets = tables.users.c, id_sets(connection.dialect.name)
    query = select(users.id).where(sets.among(users.id, "ids"))
    if location is not None:
        query = query.where(users.location_id == location.id)
    targets = Targets(query, sets.parameters("ids", user_ids))
    return targets if connection.execute(query.limit(1), targets.parameters).first() else None


@dataclass(frozen=True)
class _Found:
    """A user that was named: the word that named it, and where it is."""

    word: str
    location_id: int


@dataclass(frozen=True)
class _Named:
    """Users looked up by id or login, by id; and the words that found nobody."""

    found: dict[int, _Found]
    missing: tuple[str, ...]

    @property
    def ids(self) -> Collection[int]:
        return self.found.keys()

    def refuse_missing(self, connection: Connection, location: Location | None, *, names_other_locations: bool) -> None:
        elsewhere = {} if location is None else {u: f for u, f in self.found.items() if f.location_id != location.id}
        if not self.missing and not elsewhere:
            return
        where = "" if location is None else f" at {location.name}"
        absent = [*self.missing, *([] if names_other_locations else (found.word for found in elsewhere.values()))]
        sentences = [f"no user{where} is called {_listed(absent)}"] if absent else []
        data: dict[str, object] = {"unknown_users": absent}
        if elsewhere and names_other_locations:
            names = _location_names(connection)
            told = [f"{found.word} ({names[found.location_id]})" for _, found in sorted(elsewhere.items())]
            sentences.append(f"not{where}: {_listed(told)}")
            data["users_elsewhere"] = {str(user): found.location_id for user, found in sorted(elsewhere.items())}
        raise InputRefused(f"{'; '.join(sentences)}; correct the users or the location", data)


_MOST_NAMED_IN_A_LINE = 1000


def _listed(words: list[str]) -> str:
    listed = ", ".join(shown(word) for word in words[:_MOST_NAMED_IN_A_LINE])
    more = len(words) - _MOST_NAMED_IN_A_LINE
    return f"{listed} and {more:,} more (--json names them all)" if more > 0 else listed


def _find_named(connection: Connection, ids: Collection[int], logins: Collection[str]) -> _Named:
    users, sets = tables.users.c, id_sets(connection.dialect.name)
    query = select(users.id, users.login, users.location_id)
    wanted = {i for i in ids if 0 < i <= MAX_ID}
    by_id = (
        _rows(connection, query.where(sets.among(users.id, "ids")), sets.parameters("ids", wanted)) if wanted else []
    )
    names = sorted(set(logins))
    by_login = [
        row
        for start in range(0, len(names), _BATCH)
        for row in connection.execute(query.where(users.login.in_(names[start : start + _BATCH])))
    ]
    found = {row[0]: _Found(row[1], row[2]) for row in by_login} | {
        row[0]: _Found(str(row[0]), row[2]) for row in by_id
    }
    missing_ids = sorted(set(ids) - found.keys())
    missing_logins = sorted(set(logins) - {row[1] for row in by_login})
    return _Named(found, (*map(str, missing_ids), *missing_logins))


def _rows(
    connection: Connection, query: Select[int, str, int], parameters: dict[str, object]
) -> Iterable[tuple[int, str, int]]:
    return [(row[0], row[1], row[2]) for row in connection.execute(query, parameters)]


def _location_names(connection: Connection) -> dict[int, str]:
    return {row.id: row.name for row in connection.execute(select(tables.locations.c.id, tables.locations.c.name))}


@dataclass(frozen=True, kw_only=True)
class UserLine:
    """A user as a list shows it."""

    id: int
    login: str
    name: str
    location_id: int
    access: Access


def list_locations(connection: Connection) -> list[Location]:
    """Give all locations in the order of their ids."""
    table = tables.locations
    query = select(table.c.id, table.c.name).order_by(table.c.id)
    return [Location(row.id, row.name) for row in connection.execute(query)]


def list_users(connection: Connection, location_id: int | None, content_roles: Collection[int]) -> list[UserLine]:
    """Give the users of a location (None: of all), or those of them who hold one of the roles."""
    users, sets = tables.users.c, id_sets(connection.dialect.name)
    query = select(users.id, users.login, users.name, users.location_id, users.access).order_by(users.id)
    parameters: dict[str, object] = {}
    if location_id is not None:
        query = query.where(users.location_id == location_id)
    if content_roles:
        holders = tables.user_content_roles.c
        query = query.where(users.id.in_(select(holders.user_id).where(sets.among(holders.content_role_id, "roles"))))
        parameters = sets.parameters("roles", content_roles)
    return [
        UserLine(id=row.id, login=row.login, name=row.name, location_id=row.location_id, access=Access(row.access))
        for row in connection.execute(query, parameters)
    ]


def logins_of(connection: Connection, user_ids: Collection[int]) -> dict[int, str]:
    """Give the logins of those of the users who still exist."""
    users, sets = tables.users.c, id_sets(connection.dialect.name)
    query = select(users.id, users.login).where(sets.among(users.id, "ids"))
    return {row.id: row.login for row in connection.execute(query, sets.parameters("ids", user_ids))}
