"""`up` and `worker`: what runs jobs."""

import os
import sys

import click

from commands.context import Invocation, pass_invocation
from jobs.store.version import require_schema
from worker.logs import configure_logging
from worker.supervisor import run_worker_tree, worker_command, worker_environment

_CONCURRENCY = min(os.cpu_count() or 1, 4)


@click.command(short_help="Everything in one process tree: broker, worker, housekeeping.")
@click.option("--concurrency", type=click.IntRange(min=1), default=_CONCURRENCY, show_default=True)
@pass_invocation
def up(invocation: Invocation, *, concurrency: int) -> None:
    """Run everything in the foreground: the embedded broker where none is configured, a worker, housekeeping.

    Brings the schema of an embedded database to this version. Ctrl-C finishes the running chunks and ends.
    """
    if invocation.settings.database_url is None:
        from jobs.store.migrate import upgrade  # noqa: PLC0415 - Alembic is needed nowhere else

        upgrade(invocation.database)
    _prepare(invocation)
    invocation.say(f"serving {invocation.database.address}; Ctrl-C ends")
    sys.exit(run_worker_tree(invocation.settings, concurrency=concurrency, log_level=_log_level(invocation)))


@click.command(
    short_help="A production worker; Celery's own options may follow --.",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--concurrency", type=click.IntRange(min=1), default=_CONCURRENCY, show_default=True)
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def worker(invocation: Invocation, *, concurrency: int, celery_options: tuple[str, ...]) -> None:
    """Run a worker; Celery's own options may follow --."""
    _prepare(invocation)
    level = _log_level(invocation)
    if invocation.settings.broker_url is None:
        sys.exit(
            run_worker_tree(
                invocation.settings, concurrency=concurrency, celery_arguments=celery_options, log_level=level
            )
        )
    # Nothing to look after beside it: become the worker, so that signals reach Celery itself.
    command = worker_command("worker.app", concurrency, level, celery_options)
    os.execve(command[0], command, worker_environment(invocation.settings, os.environ))  # noqa: S606


def _prepare(invocation: Invocation) -> None:
    """Refuse to serve a database that is not there, before anything is started."""
    require_schema(invocation.database)
    invocation.database.close()
    configure_logging()


def _log_level(invocation: Invocation) -> str:
    return "DEBUG" if invocation.verbose else "WARNING" if invocation.quiet else "INFO"
