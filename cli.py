"""The command line: `training-reset`. Global options, the commands, and errors turned into exit codes.

The contract of options, output and exit codes is `docs/cli.md`.
"""

import gc
import os
import sys
from pathlib import Path

gc.disable()  # importing makes much and leaves no garbage: to look for some takes a quarter of a short command

import click

import jobs
from commands.boundary import exit_code_of
from commands.context import Invocation, load_settings
from commands.lazily import LazyGroup

COMMANDS = {
    "demo": "commands.demo:demo",
    "up": "commands.serve:up",
    "worker": "commands.serve:worker",
    "db": "commands.database:database_group",
    "records": "commands.records:records_group",
    "location": "commands.location:location_group",
    "user": "commands.location:user_group",
    "preview": "commands.request:preview_group",
    "submit": "commands.request:submit_group",
    "me": "commands.me:me_group",
    "blackout": "commands.blackout:blackout_group",
    "job": "commands.job:job_group",
    "schedule": "commands.schedule:schedule_group",
    "doctor": "commands.doctor:doctor",
}


@click.group(
    name="training-reset",
    cls=LazyGroup,
    places=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--database-url", help="SQLite or PostgreSQL; default: SQLite in the data directory.")
@click.option("--broker-url", help="Redis or Valkey; default: the embedded one in the data directory.")
@click.option("--as", "actor", metavar="LOGIN", help="Who acts; default: TRAINING_RESET_ACTOR.")
@click.option("--json", "as_json", is_flag=True, help="Print data as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print no chatter.")
@click.option("-v", "--verbose", is_flag=True, help="Show what happens inside, and tracebacks.")
@click.version_option(jobs.__version__, prog_name="training-reset")
@click.pass_context
def main_group(
    context: click.Context,
    *,
    database_url: str | None,
    broker_url: str | None,
    actor: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Reset the training records of many learners at once.

    [203] puts chapters and courses back to Incomplete and erases past attempts; [204] puts what is In Progress
    back to Not Started. Every other setting is an environment variable TRAINING_RESET_<NAME>; TRAINING_RESET_HOME
    is the data directory.
    """
    gc.freeze()
    gc.enable()
    given = {"database_url": database_url, "broker_url": broker_url, "actor": actor}
    settings = load_settings({name: value for name, value in given.items() if value is not None})
    context.obj = Invocation(settings=settings, as_json=as_json, quiet=quiet, verbose=verbose)


def main() -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    if sys.stdout is None:  # closed by the caller; whatever is opened next must not take its place
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end, like stdout
    try:
        with main_group.make_context("training-reset", list(arguments)) as context:
            main_group.invoke(context)
        sys.stdout.flush()
        code = 0
    except BrokenPipeError:
        # Whoever read the output has had enough; the interpreter must not try to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except BaseException as error:  # noqa: BLE001 - the one boundary where every error becomes a line and a code
        code = exit_code_of(error, arguments)
    sys.exit(code)


if __name__ == "__main__":
    main()
