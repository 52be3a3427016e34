"""A schedule acts as its owner: what it asks for, resolved at the time of a run as if the owner asked then."""

from datetime import datetime

from sqlalchemy import Connection

from jobs import authorization
from jobs.errors import Conflict, NotFound, NotPermitted
from jobs.model import Access, Actor
from jobs.records.people import Location, find_actor, find_location
from jobs.schedule import Schedule
from jobs.submission import Resolved, resolve


class OwnerLost(Conflict):
    """The owner of a schedule may not do any more what it asks for."""

    code = "owner_lost"


def resolve_as_owner(connection: Connection, schedule: Schedule, at: datetime) -> Resolved:
    """Look everything up that a schedule asks for, as of the time of a run.

    Raises:
        OwnerLost: the owner or the location is gone, or the owner may not act there.
        InputRefused: naming what is gone of users and content.

    """
    owner, location = find_owner(connection, schedule)
    return resolve(connection, owner, schedule.request, location, at)


def find_owner(connection: Connection, schedule: Schedule) -> tuple[Actor, Location | None]:
    """Find the owner of a schedule and the location where it acts; None means all of them.

    Raises:
        OwnerLost: the owner or the location is gone, or the owner may not act there.

    """
    owner = _owner(connection, schedule)
    return owner, _location(connection, schedule, owner)


def _owner(connection: Connection, schedule: Schedule) -> Actor:
    login = schedule.owner_login
    try:
        owner = find_actor(connection, login)
    except NotFound as error:
        raise _lost(schedule, f"its owner {login} is gone") from error
    if owner.id != schedule.owner_id:
        raise _lost(schedule, f"its owner {login} is not user {schedule.owner_id} any more")
    if owner.access is Access.LEARNER:
        raise _lost(schedule, f"its owner {login} is a learner now")
    return owner


def _location(connection: Connection, schedule: Schedule, owner: Actor) -> Location | None:
    wanted = schedule.request.location
    try:
        location_id = authorization.location_of(owner, wanted, None)
        return None if location_id is None else find_location(connection, location_id)
    except NotPermitted as error:
        where = "all locations" if wanted == "all" else f"location {wanted}"
        raise _lost(schedule, f"its owner {owner.login} may not act at {where} any more") from error
    except NotFound as error:
        raise _lost(schedule, f"location {wanted} is gone") from error


def _lost(schedule: Schedule, why: str) -> OwnerLost:
    name = schedule.name
    return OwnerLost(
        f"{why}; mend that and 'schedule resume {name}', or 'schedule edit {name} --take-over' makes it yours"
    )
