"""Who may do what, and where. Pure: the caller looks things up, this decides."""

from jobs.errors import InputRefused, NotPermitted
from jobs.model import Access, Actor, Job
from jobs.scope import Everywhere


def location_of(actor: Actor, wanted: int | Everywhere | None, standing: int | None) -> int | None:
    """Decide at which location the actor acts; None means all of them.

    Args:
        actor: who acts.
        wanted: the location that was named, "all", or None for the current one.
        standing: where the actor stands since its last `location use`.

    Raises:
        NotPermitted: another location than its own, or all of them, without being a super user.

    """
    current = standing if actor.access is Access.SUPER_USER and standing is not None else actor.location_id
    if wanted is None:
        return current
    if actor.access is not Access.SUPER_USER and wanted != actor.location_id:
        which = "all locations are" if wanted == "all" else f"location {wanted} is"
        raise NotPermitted(f"{which} not yours, {actor.login}; you act at your own location, {actor.location_id}")
    return None if wanted == "all" else wanted


def require_administrator(actor: Actor) -> None:
    """Make sure that the actor may reset other users' records.

    Raises:
        NotPermitted: a learner, who resets only its own.

    """
    if actor.access is Access.LEARNER:
        raise NotPermitted(
            f"{actor.login} is a learner, and this is for administrators; "
            "a learner resets its own records with 'training-reset me reset-in-progress'"
        )


def require_super_user(actor: Actor) -> None:
    """Make sure that the actor may handle the records of every location.

    Raises:
        NotPermitted: it is no super user.

    """
    if actor.access is not Access.SUPER_USER:
        raise NotPermitted(
            f"{actor.login} has the access {actor.access.value}, and this concerns every location; ask a super user"
        )


def may_see(actor: Actor, job: Job) -> bool:
    """Tell whether a job exists for this actor."""
    match actor.access:
        case Access.SUPER_USER:
            return True
        case Access.ADMIN:
            return job.location_id == actor.location_id
        case Access.LEARNER:
            return job.actor_id == actor.id


def may_see_schedule(actor: Actor, location_id: int | None) -> bool:
    """Tell whether a schedule that acts at a location (None: all of them) exists for this actor."""
    return actor.access is Access.SUPER_USER or (actor.access is Access.ADMIN and location_id == actor.location_id)


def may_see_user(actor: Actor, user_id: int, location_id: int) -> bool:
    """Tell whether a user exists for this actor."""
    match actor.access:
        case Access.SUPER_USER:
            return True
        case Access.ADMIN:
            return location_id == actor.location_id
        case Access.LEARNER:
            return user_id == actor.id


def require_named(login: str | None) -> str:
    """Make sure that somebody acts.

    Raises:
        InputRefused: nobody was named.

    """
    if not login:
        raise InputRefused("nobody is named as acting; give --as LOGIN before the command or set TRAINING_RESET_ACTOR")
    return login
