"""`--on-result`: whom to tell when a job ends, refused at once where nothing could be sent."""

import click

from commands.context import Invocation
from jobs.errors import InputRefused
from jobs.targets import check_targets, read_target


def _ready(context: click.Context, _: click.Parameter, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Make sure that each target is one, and that what sending to it takes is set.

    Raises:
        InputRefused: naming the target or the setting.

    """
    settings = context.ensure_object(Invocation).settings
    check_targets(targets)
    mails = [read_target(target).address is not None for target in targets]
    if any(mails) and settings.smtp_url is None:
        raise InputRefused(
            "--on-result mailto: needs a mail server; set TRAINING_RESET_SMTP_URL and TRAINING_RESET_MAIL_FROM, "
            "here and where workers run"
        )
    if not all(mails) and settings.result_secret is None:
        raise InputRefused(
            "--on-result with a URL needs a secret to sign with; set TRAINING_RESET_RESULT_SECRET, "
            "here and where workers run"
        )
    return targets


on_result_option = click.option(
    "--on-result",
    metavar="URL|mailto:ADDRESS",
    multiple=True,
    callback=_ready,
    help="Send the result there when the job has ended; may be repeated.",
)
