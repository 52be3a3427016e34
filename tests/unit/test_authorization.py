"""Who may do what, and where."""

from dataclasses import replace

import pytest

from jobs import authorization
from jobs.errors import InputRefused, NotPermitted
from jobs.model import Access, Actor
from tests.unit.test_progress import JOB

LEARNER = Actor(id=30, login="learner", access=Access.LEARNER, location_id=1)
ADMIN = Actor(id=20, login="admin", access=Access.ADMIN, location_id=1)
SUPER_USER = Actor(id=10, login="root", access=Access.SUPER_USER, location_id=1)


@pytest.mark.parametrize(
    ("actor", "wanted", "standing", "location"),
    [
        (LEARNER, None, None, 1),
        (LEARNER, 1, None, 1),
        (ADMIN, None, None, 1),
        (ADMIN, 1, None, 1),
        (ADMIN, None, 2, 1),
        (SUPER_USER, None, None, 1),
        (SUPER_USER, None, 2, 2),
        (SUPER_USER, 3, 2, 3),
        (SUPER_USER, "all", 2, None),
        (SUPER_USER, 1, 2, 1),
    ],
)
def test_an_actor_acts_where_it_says_else_where_it_stands_else_at_home(
    actor: Actor, wanted: int | None, standing: int | None, location: int | None
) -> None:
    assert authorization.location_of(actor, wanted, standing) == location


@pytest.mark.parametrize("actor", [LEARNER, ADMIN])
@pytest.mark.parametrize(("wanted", "named"), [(2, "location 2 is not yours"), ("all", "all locations are not yours")])
def test_only_a_super_user_acts_elsewhere_or_everywhere(actor: Actor, wanted: int, named: str) -> None:
    for standing in (None, 2):
        with pytest.raises(NotPermitted, match=named):
            authorization.location_of(actor, wanted, standing)


def test_learners_do_not_reset_others_and_are_told_what_they_can_do() -> None:
    with pytest.raises(NotPermitted, match="me reset-in-progress"):
        authorization.require_administrator(LEARNER)
    authorization.require_administrator(ADMIN)
    authorization.require_administrator(SUPER_USER)


@pytest.mark.parametrize("actor", [LEARNER, ADMIN])
def test_what_concerns_every_location_is_for_super_users(actor: Actor) -> None:
    with pytest.raises(NotPermitted, match=f"{actor.login} has the access {actor.access.value}"):
        authorization.require_super_user(actor)
    authorization.require_super_user(SUPER_USER)


@pytest.mark.parametrize(
    ("actor", "location_id", "actor_id", "sees"),
    [
        (SUPER_USER, 2, 99, True),
        (SUPER_USER, None, 99, True),
        (ADMIN, 1, 99, True),
        (ADMIN, 2, 99, False),
        (ADMIN, 2, 20, False),
        (ADMIN, None, 99, False),
        (LEARNER, 1, 30, True),
        (LEARNER, 1, 99, False),
    ],
)
def test_a_job_exists_for_whoever_may_see_it(
    actor: Actor,
    location_id: int | None,
    actor_id: int,
    sees: bool,  # noqa: FBT001 - an expected value
) -> None:
    assert authorization.may_see(actor, replace(JOB, location_id=location_id, actor_id=actor_id)) is sees


@pytest.mark.parametrize(
    ("actor", "user_id", "location_id", "sees"),
    [
        (SUPER_USER, 99, 2, True),
        (ADMIN, 99, 1, True),
        (ADMIN, 99, 2, False),
        (LEARNER, 30, 1, True),
        (LEARNER, 99, 1, False),
    ],
)
def test_a_user_exists_for_whoever_may_see_it(
    actor: Actor,
    user_id: int,
    location_id: int,
    sees: bool,  # noqa: FBT001 - an expected value
) -> None:
    assert authorization.may_see_user(actor, user_id, location_id) is sees


@pytest.mark.parametrize("login", [None, ""])
def test_somebody_must_be_named_as_acting(login: str | None) -> None:
    with pytest.raises(InputRefused, match="--as LOGIN"):
        authorization.require_named(login)


def test_the_name_of_who_acts_is_taken_as_it_is() -> None:
    assert authorization.require_named("Ada") == "Ada"
