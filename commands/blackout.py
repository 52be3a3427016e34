"""`blackout add|list|remove`: days on which no job runs that is not urgent."""

from datetime import date

import click

from commands.context import Invocation, pass_invocation
from commands.output import print_json, print_table
from commands.words import LOCATION, Days, ZoneName
from jobs.blackout import Blackout, days_text
from jobs.blackoutkeeping import Blackouts


@click.group("blackout", short_help="Days on which no job runs.")
def blackout_group() -> None:
    """Keep days free of resets, for exams or an audit; only jobs that are urgent run then."""


@blackout_group.command("add")
@click.argument("days", type=Days())
@click.argument("reason")
@click.option("--location", type=LOCATION, metavar="ID|all", help="Default: where you stand; all for super users only.")
@click.option("--timezone", "zone", type=ZoneName(), help="Whose midnights; default: the setting TIMEZONE.")
@pass_invocation
def add(
    invocation: Invocation, *, days: tuple[date, date], reason: str, location: int | str | None, zone: str | None
) -> None:
    """Hold every job on these days, such as 2026-12-20..2027-01-05, both included."""
    added = _blackouts(invocation).add(days, reason, zone=zone or invocation.settings.timezone, location=location)
    _print(invocation, [added])


@blackout_group.command("list")
@click.option("--past", is_flag=True, help="Also those that are over.")
@pass_invocation
def list_blackouts(invocation: Invocation, *, past: bool) -> None:
    """List the blackouts that are not over."""
    _print(invocation, _blackouts(invocation).list(past=past))


@blackout_group.command("remove")
@click.argument("blackout", metavar="ID", type=int)
@pass_invocation
def remove(invocation: Invocation, *, blackout: int) -> None:
    """Take a blackout back; jobs that held because of it go on."""
    _print(invocation, [_blackouts(invocation).remove(blackout)])


def _blackouts(invocation: Invocation) -> Blackouts:
    return Blackouts(invocation.database, invocation.settings.actor)


def _print(invocation: Invocation, found: list[Blackout]) -> None:
    if invocation.as_json:
        for blackout in found:
            print_json(_object(blackout))
        return
    print_table(
        ("id", "days", "time zone", "location", "by", "reason"),
        (
            (
                blackout.id,
                days_text(blackout.first_day, blackout.last_day),
                blackout.zone,
                blackout.location_id or "all",
                blackout.actor_login,
                blackout.reason,
            )
            for blackout in found
        ),
        cut="reason",
    )


def _object(blackout: Blackout) -> dict[str, object]:
    return {
        "id": blackout.id,
        "first_day": f"{blackout.first_day}",
        "last_day": f"{blackout.last_day}",
        "timezone": blackout.zone,
        "begins_at": blackout.begins,
        "ends_at": blackout.ends,
        "location_id": blackout.location_id,
        "actor": blackout.actor_login,
        "reason": blackout.reason,
    }
