"""`job list|status|watch|report|verify`: follow jobs and read what became of every user."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click

from commands.context import Invocation, pass_invocation
from commands.output import REPORT_COLUMNS, print_json, print_table, report_object
from commands.waiting import follow, print_status
from jobs.errors import InputRefused
from jobs.model import JobState
from jobs.wording import KIND_NAMES, json_line, location_name, status_object, status_text


@click.command("list")
@click.option("--state", "states", type=click.Choice([state.value for state in JobState]), multiple=True)
@click.option("--mine", is_flag=True, help="Only those that I submitted.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_invocation
def list_jobs(invocation: Invocation, *, states: tuple[str, ...], mine: bool, limit: int) -> None:
    """List jobs, newest first."""
    found = invocation.administration.jobs(states=tuple(JobState(state) for state in states), mine=mine, limit=limit)
    if invocation.as_json:
        for status in found:
            print_json(status_object(status))
        return
    print_table(
        ("job", "kind", "state", "users", "changed", "failed", "by", "location", "reason"),
        (
            (
                status.job.id,
                KIND_NAMES[status.job.kind.value],
                status.job.state.value,
                f"{status.totals.done}/{status.job.users_total}",
                status.totals.changed,
                status.totals.failed,
                status.job.actor_login,
                location_name(status.location),
                status.job.reason,
            )
            for status in found
        ),
        cut="reason",
    )


@click.command("status")
@click.argument("job", type=int)
@click.option("--watch", is_flag=True, help="Show its progress until it has ended.")
@pass_invocation
def status(invocation: Invocation, *, job: int, watch: bool) -> None:
    """Say where a job stands and how far it is."""
    if watch:
        follow(invocation, job, draw=True)
    else:
        print_status(invocation, invocation.administration.status(job))


@click.command("watch")
@click.argument("job", type=int)
@pass_invocation
def watch(invocation: Invocation, *, job: int) -> None:
    """Show a job's progress until it has ended."""
    follow(invocation, job, draw=True)


@click.command("report")
@click.argument("job", type=int)
@click.option("--format", "form", type=click.Choice(["text", "csv"]), default="text", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: stdout.")
@pass_invocation
def report(invocation: Invocation, *, job: int, form: str, output: Path | None) -> None:
    """Name every user of a job with its outcome and counts."""
    head = invocation.administration.status(job)
    lines = (report_object(line) for line in invocation.administration.report(job))
    with _open(output) as file:
        if invocation.as_json:
            for line in lines:
                file.write(json_line(line) + "\n")
        elif form == "csv":
            writer = csv.DictWriter(file, REPORT_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        else:
            file.write(status_text(head) + "\n\n")
            file.write(_HEADINGS)
            for line in lines:
                file.write(_text(line))
    if output is not None:
        invocation.say(f"wrote {output}")


@click.command("verify")
@click.argument("job", type=int)
@pass_invocation
def verify(invocation: Invocation, *, job: int) -> None:
    """Recount from the records and the archive that every user was treated as reported.

    What users did since is named and is no fault.
    """
    faults = 0
    for found in invocation.administration.verify(job):
        faults += not found.since
        if invocation.as_json:
            print_json(asdict(found))
        else:
            who = f"job {job}" if found.user_id is None else f"user {found.user_id}"
            click.echo(f"{who}: {found.problem}{' (active since the job began)' if found.since else ''}")
    if faults:
        raise NotAsReported(f"{faults} faults in what job {job} reports; compare them with 'job report {job}'")
    invocation.say(f"job {job}: every user is as reported")


class NotAsReported(click.ClickException):
    """A job's report and the records do not agree."""

    exit_code = 1


_HEADINGS = f"{'user_id':>10}  {'login':<20}  {'outcome':<11}  attempts  chapters  courses  error\n"


def _text(line: dict[str, object]) -> str:
    who = f"{line['user_id']:>10}  {line['login'] or '(gone)':<20}"
    rows = f"{line['attempts_erased']:>8}  {line['chapters_reset']:>8}  {line['courses_reset']:>7}"
    return f"{who}  {line['outcome'] or 'not reached':<11}  {rows}  {line['error'] or ''}".rstrip() + "\n"


@contextmanager
def _open(output: Path | None) -> Iterator[TextIO]:
    """Give stdout, or a file that appears under its name only when it is whole."""
    if output is None:
        yield sys.stdout
        return
    special = output.exists() and not output.is_file()  # a device or a pipe is written to, never replaced
    unfinished = output if special else output.with_name(f".{output.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
        if not special:
            unfinished.replace(output)
    except OSError as error:
        raise InputRefused(f"the report cannot be written to {output} ({error.strerror}); name another file") from error


FOLLOWING = (list_jobs, status, watch, report, verify)
"""The commands of this file; they stand in the group `job`."""
