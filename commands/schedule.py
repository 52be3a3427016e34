"""`schedule`: recurring jobs. Adding and editing take the words of `submit`."""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from commands.context import Invocation, pass_invocation
from commands.output import preview_object, preview_text, print_json, print_table
from commands.request import (
    in_progress_options,
    in_progress_request,
    job_options,
    options_of_job,
    stack,
    training_options,
    training_request,
    user_options,
    when_options,
)
from commands.schedule_output import (
    due_cell,
    due_columns,
    due_object,
    run_object,
    run_text,
    runs_table,
    schedule_object,
    schedule_text,
    schedules_table,
    times_lines,
)
from commands.waiting import dispatch
from commands.words import Age, IdOr, Moment
from jobs.errors import TrainingResetError
from jobs.schedule import CatchUp, Overlap, Plan, Policies, Schedule
from jobs.scope import JobOptions, ResetRequest
from jobs.timing import Cron, Every, Once, Timing


class NamedGroup(click.Group):
    """A group with a name and options before its commands: `add NAME --every 6h training …`."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - as click's own
        super().__init__(*args, context_settings={"allow_interspersed_args": True}, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read name and options, in any order, up to the command."""
        place = next((place for place, word in enumerate(args) if word in self.commands), len(args))
        rest = super().parse_args(ctx, [*args[:place], "--", *args[place:]])
        if ctx.params.get("name") in self.commands:
            raise click.UsageError(f"the NAME is missing before {ctx.params['name']!r}; give the schedule a name", ctx)
        return rest


@dataclass(frozen=True)
class Draft:
    """What stands before the words of a job."""

    name: str
    timing: Timing | None
    policies: dict[str, Any]
    dry_run: bool = False
    take_over: bool = False


pass_draft = click.make_pass_decorator(Draft)

timing_options = stack(
    click.option("--cron", metavar="EXPRESSION", help='Minute, hour, day, month, weekday: "0 2 1 * *".'),
    click.option("--timezone", metavar="ZONE", help="Whose wall clock --cron reads; default: the setting TIMEZONE."),
    click.option("--every", type=Age(), help="Every so long, such as 6h, counted from now."),
    click.option("--once", type=Moment(), help="At this time alone."),
)
policy_options = stack(
    click.option(
        "--catch-up",
        type=click.Choice([policy.value for policy in CatchUp]),
        help="Which missed times run: none, the last (default) or all.",
    ),
    click.option(
        "--overlap",
        type=click.Choice([policy.value for policy in Overlap]),
        help="When its earlier job has not ended: skip (default), or queue until it has.",
    ),
    click.option("--max-users", type=IdOr("none"), metavar="N|none", help="Hold a run that would change more."),
    click.option("--notice", type=Age("none"), metavar="AGE|none", help="How far ahead `due` and `show` look."),
)


@click.group("schedule", short_help="Recurring jobs.")
def schedule_group() -> None:
    """Let jobs be submitted at their times, with users and content as they are then."""


@schedule_group.group("add", cls=NamedGroup, short_help="Add a schedule.")
@click.argument("name")
@timing_options
@policy_options
@click.option("--dry-run", is_flag=True, help="Show what a run now would do; add nothing.")
@click.pass_context
@pass_invocation
def add_group(invocation: Invocation, context: click.Context, /, *, name: str, dry_run: bool, **given: Any) -> None:  # noqa: ANN401
    """Add a schedule that acts as you: name, times and policies, then the words of `submit`."""
    timing = _timing(invocation, given)
    if timing is None:
        raise click.UsageError("when is it to run? give --cron, --every or --once")
    context.obj = Draft(name, timing, _policies(given), dry_run=dry_run)


@schedule_group.group("edit", cls=NamedGroup, invoke_without_command=True, short_help="Change a schedule.")
@click.argument("name")
@timing_options
@policy_options
@click.option("--take-over", is_flag=True, help="It acts as you from now on.")
@click.pass_context
@pass_invocation
def edit_group(invocation: Invocation, context: click.Context, /, *, name: str, take_over: bool, **given: Any) -> None:  # noqa: ANN401
    """Change when a schedule runs, its policies, or, with the words of `submit`, what it asks for."""
    draft = Draft(name, _timing(invocation, given), _policies(given), take_over=take_over)
    context.obj = draft
    if context.invoked_subcommand is None:
        if not (draft.timing or draft.policies or take_over):
            raise click.UsageError("nothing to change; give times, policies, --take-over or the words of a job")
        _edit(invocation, draft, None, None)


Use = Callable[[Invocation, Draft, ResetRequest, JobOptions], None]


def _take_the_words_of_submit(group: click.Group, use: Use) -> None:
    """Give a group the commands `training` and `in-progress`, with the options that `submit` has."""

    @user_options
    @training_options
    @when_options
    @job_options
    @pass_draft
    @pass_invocation
    def training(invocation: Invocation, draft: Draft, /, **words: Any) -> None:  # noqa: ANN401
        """[203] Reset training data."""
        use(invocation, draft, training_request(words), options_of_job(words))

    @user_options
    @in_progress_options
    @when_options
    @job_options
    @pass_draft
    @pass_invocation
    def in_progress(invocation: Invocation, draft: Draft, /, **words: Any) -> None:  # noqa: ANN401
        """[204] Reset "In Progress" data."""
        use(invocation, draft, in_progress_request(words), options_of_job(words))

    for function, name, number in ((training, "training", "203"), (in_progress, "in-progress", "204")):
        command = click.command(name)(function)
        group.add_command(command)
        group.add_command(command, number)


def _add(invocation: Invocation, draft: Draft, request: ResetRequest, options: JobOptions) -> None:
    if draft.timing is None:
        raise AssertionError("a schedule is added with its times")
    policies = Policies(**draft.policies)
    plan = Plan(name=draft.name, timing=draft.timing, request=request, options=options, policies=policies)
    if draft.dry_run:
        _rehearse(invocation, plan)
        return
    invocation.scheduling.add(plan)
    _print(invocation, draft.name)


def _edit(invocation: Invocation, draft: Draft, request: ResetRequest | None, options: JobOptions | None) -> None:
    def revise(schedule: Schedule) -> Schedule:
        return replace(
            schedule,
            timing=draft.timing or schedule.timing,
            policies=replace(schedule.policies, **draft.policies),
            request=request or schedule.request,
            options=options or schedule.options,
        )

    invocation.scheduling.edit(draft.name, revise, take_over=draft.take_over)
    _print(invocation, draft.name)


_take_the_words_of_submit(add_group, _add)
_take_the_words_of_submit(edit_group, _edit)


@schedule_group.command("list")
@pass_invocation
def list_schedules(invocation: Invocation) -> None:
    """List schedules with their next time, their last run and what somebody should look at."""
    statuses = invocation.scheduling.schedules()
    if invocation.as_json:
        for status in statuses:
            print_json(schedule_object(status))
    else:
        print_table(*schedules_table(statuses), cut="attention")


@schedule_group.command("show")
@click.argument("name")
@pass_invocation
def show(invocation: Invocation, *, name: str) -> None:
    """Show a schedule with its next five times and its last runs."""
    status, runs = invocation.scheduling.show(name)
    due = _due_within_notice(invocation, status.schedule)
    if invocation.as_json:
        print_json(schedule_object(status) | {"users_due": due, "runs": [run_object(run) for run in runs]})
        return
    click.echo(schedule_text(status))
    if due is not None:
        click.echo(f"  due       {due:,} users within the notice; 'training-reset schedule due {name}' names them")
    if runs:
        click.echo()
        print_table(*runs_table(runs), cut="reason")


@schedule_group.command("pause")
@click.argument("name")
@pass_invocation
def pause(invocation: Invocation, *, name: str) -> None:
    """Let a schedule run no more until it is resumed; its jobs go on."""
    invocation.scheduling.pause(name)
    _print(invocation, name)


@schedule_group.command("resume")
@click.argument("name")
@pass_invocation
def resume(invocation: Invocation, *, name: str) -> None:
    """Let a paused schedule run again, from its next time on."""
    invocation.scheduling.resume(name)
    _print(invocation, name)


@schedule_group.command("remove")
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, *, name: str) -> None:
    """Forget a schedule and its runs; its jobs stay."""
    invocation.scheduling.remove(name)
    invocation.say(f"removed {name}; its jobs stay")


@schedule_group.command("run")
@click.argument("name")
@pass_invocation
def run_now(invocation: Invocation, *, name: str) -> None:
    """Run a schedule now, beside its times."""
    run = invocation.scheduling.run(name)
    if run.job_id is not None:
        dispatch(invocation, run.job_id)
    if invocation.as_json:
        print_json(run_object(run))
    else:
        click.echo(run_text(run))


@schedule_group.command("due")
@click.argument("name")
@click.option("--within", type=Age(), help="How far ahead; default: its notice, or 30d.")
@click.option("--format", "form", type=click.Choice(["text", "csv"]), default="text", show_default=True)
@pass_invocation
def due(invocation: Invocation, *, name: str, within: timedelta | None, form: str) -> None:
    """Tell who falls due and when, before it happens."""
    lines = [due_object(line, login) for line, login in invocation.scheduling.due(name, within)]
    status, _ = invocation.scheduling.show(name)
    columns = due_columns(status.schedule.request.kind)
    if invocation.as_json:
        for line in lines:
            print_json({column: line[column] for column in columns})
    elif form == "csv":
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows([due_cell(line[column]) for column in columns] for line in lines)
    else:
        print_table(columns, ([due_cell(line[column]) for column in columns] for line in lines), cut="login")


def _due_within_notice(invocation: Invocation, schedule: Schedule) -> int | None:
    """Count who falls due within the notice of a schedule; None where it has none, or none that can be told."""
    if schedule.policies.notice is None:
        return None
    try:
        return len({line.user_id for line, _ in invocation.scheduling.due(schedule.name)})
    except TrainingResetError:
        return None


def _rehearse(invocation: Invocation, plan: Plan) -> None:
    rehearsal = invocation.scheduling.rehearse(plan)
    found = rehearsal.preview
    if invocation.as_json:
        shown = None if found is None else preview_object(found)
        print_json({"preview": shown, "note": rehearsal.note, "next": list(rehearsal.times)})
        return
    if found is not None:
        click.echo(preview_text(found))
    click.echo(
        "\n".join([*([f"  note      {rehearsal.note}"] if rehearsal.note else []), *times_lines(rehearsal.times)])
    )


def _print(invocation: Invocation, name: str) -> None:
    status, _ = invocation.scheduling.show(name)
    if invocation.as_json:
        print_json(schedule_object(status))
    else:
        click.echo(schedule_text(status))


def _timing(invocation: Invocation, given: dict[str, Any]) -> Timing | None:
    """Read the times that were given, if any; an interval is counted from when the schedule is written."""
    named = [name for name in ("cron", "every", "once") if given[name] is not None]
    if len(named) > 1:
        raise click.UsageError(f"--{named[0]} and --{named[1]} were both given; leave one of them out")
    if given["timezone"] is not None and named != ["cron"]:
        raise click.UsageError("--timezone says whose wall clock --cron reads; give both or neither")
    if given["cron"] is not None:
        return Cron(given["cron"], given["timezone"] or invocation.settings.timezone)
    if given["every"] is not None:
        return Every(given["every"], datetime.now(UTC))
    return None if given["once"] is None else Once(given["once"])


def _policies(given: dict[str, Any]) -> dict[str, Any]:
    """Read the policies that were given; `none` takes one away."""
    kinds = {"catch_up": CatchUp, "overlap": Overlap}
    policies: dict[str, Any] = {name: kind(given[name]) for name, kind in kinds.items() if given[name] is not None}
    for name in ("max_users", "notice"):
        if given[name] is not None:
            policies[name] = None if given[name] == "none" else given[name]
    return policies
