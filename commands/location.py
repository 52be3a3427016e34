"""`location list|use|current` and `user list`: where an administrator stands, and who is there."""

import click

from commands.context import Invocation, pass_invocation
from commands.output import print_json, print_table
from commands.words import LOCATION, Ids, flatten
from jobs.records.people import Location
from jobs.wording import location_object


@click.group("location", short_help="Where you stand.")
def location_group() -> None:
    """Say where you stand; the user list of a request is that of the location."""


@location_group.command("list")
@pass_invocation
def list_locations(invocation: Invocation) -> None:
    """List the locations that you may act at."""
    found = invocation.administration.locations()
    if invocation.as_json:
        for location in found:
            print_json({"id": location.id, "name": location.name})
        return
    print_table(("id", "name"), ((location.id, location.name) for location in found))


@location_group.command("use")
@click.argument("location", metavar="ID", type=int)
@pass_invocation
def use(invocation: Invocation, *, location: int) -> None:
    """Go to a location; it is remembered."""
    _print(invocation, invocation.administration.use_location(location))


@location_group.command("current")
@pass_invocation
def current(invocation: Invocation) -> None:
    """Say where you stand."""
    _print(invocation, invocation.administration.current_location())


def _print(invocation: Invocation, location: Location) -> None:
    if invocation.as_json:
        print_json(location_object(location) or {})
    else:
        click.echo(f"{location.id}  {location.name}")


@click.group("user", short_help="Who is at a location.")
def user_group() -> None:
    """Say who is at a location."""


@user_group.command("list")
@click.option("--location", type=LOCATION, metavar="ID|all", help="Default: where you stand.")
@click.option("--content-role", "content_roles", type=Ids(), multiple=True, help="Only who holds one of these.")
@pass_invocation
def list_users(
    invocation: Invocation, *, location: int | str | None, content_roles: tuple[tuple[int, ...], ...]
) -> None:
    """List the users of a location."""
    found = invocation.administration.users(location, flatten(content_roles))
    if invocation.as_json:
        for user in found:
            print_json(
                {
                    "id": user.id,
                    "login": user.login,
                    "name": user.name,
                    "location_id": user.location_id,
                    "access": user.access.value,
                }
            )
        return
    print_table(
        ("id", "login", "name", "location", "access"),
        ((user.id, user.login, user.name, user.location_id, user.access.value) for user in found),
        cut="name",
    )
