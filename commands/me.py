"""`me`: what a learner may do to its own records."""

import click

from commands.context import Invocation, pass_invocation
from commands.waiting import after_submit


@click.group("me", short_help="Your own records.")
def me_group() -> None:
    """Reset your own records."""


@me_group.command("reset-in-progress")
@pass_invocation
def reset_in_progress(invocation: Invocation) -> None:
    """Put your own chapters in progress back to Not Started, for instance to watch a video again.

    Waits for the result. No attempt is erased.
    """
    job = invocation.administration.reset_own_in_progress()
    after_submit(invocation, job, why_not_new=None, wait=True, watch=False)
