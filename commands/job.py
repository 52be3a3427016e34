"""The group `job`: following and steering together."""

import click

from commands.follow import FOLLOWING
from commands.steer import STEERING


@click.group("job", short_help="Follow and steer jobs.")
def job_group() -> None:
    """Follow jobs, steer them, and read what became of every user."""


for command in (*FOLLOWING, *STEERING):
    job_group.add_command(command)
