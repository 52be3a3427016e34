"""`preview` and `submit`: the same options, so that a preview is of exactly what a submit would do."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from commands.context import Invocation, pass_invocation
from commands.onresult import on_result_option
from commands.output import preview_object, preview_text, print_json
from commands.usersfile import read_users_file
from commands.waiting import after_submit
from commands.words import LOCATION, IdOr, Ids, Moment, MomentOrAge, Users, WindowWords, flatten, split_users
from jobs.errors import InputRefused
from jobs.model import Job, Kind
from jobs.scope import PRIORITIES, ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.submission import UsersChanged

Command = Callable[..., Any]


def stack(*options: Command) -> Callable[[Command], Command]:
    """Make one decorator of several options, in the order of the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


user_options = stack(
    click.option("--user", "users", type=Users(), multiple=True, help="Users, by id or login."),
    click.option("--users-file", metavar="FILE|-", help="One id or login a line, or CSV with a column id or login."),
    click.option("--all-users", is_flag=True, help="Every user of the location."),
    click.option("--exclude-user", "excluded", type=Users(), multiple=True, help="But not these."),
    click.option(
        "--location", type=LOCATION, metavar="ID|all", help="Default: where you stand; all for super users only."
    ),
)
content_role_option = click.option(
    "--content-role",
    "content_roles",
    type=Ids(),
    multiple=True,
    help="All chapters and courses of these roles; without a user option, for the users who hold one of them.",
)
training_options = stack(
    content_role_option,
    click.option("--category", "categories", type=Ids(), multiple=True, help="All courses of these categories."),
    click.option("--course", "courses", type=Ids(), multiple=True, help="Whole courses."),
    click.option("--chapter", "chapters", type=Ids(), multiple=True, help="Single chapters."),
    click.option("--all-content", is_flag=True, help="Every course and chapter."),
    click.option("--completed-before", "cutoff", type=MomentOrAge(), help="Only what was completed before."),
)
in_progress_options = stack(
    click.option("--id-type", type=click.Choice(["chapter", "course", "category"]), help="What the ids are."),
    click.option("--id", "ids", type=Ids(), multiple=True, help="Ids of that type."),
    content_role_option,
    click.option("--all", "all_content", is_flag=True, help="Every course and chapter."),
    click.option("--all-chapters", is_flag=True, help="Every chapter, no course as a whole."),
    click.option("--idle-since", "cutoff", type=MomentOrAge(), help="Only what was last active before."),
)
when_options = stack(
    click.option("--not-before", type=Moment(), help="Hold the job until then."),
    click.option(
        "--window",
        "windows",
        type=WindowWords(),
        multiple=True,
        help="Hold the job outside of it; 'mon-fri 22:00-05:00 Europe/London', or several.",
    ),
    click.option("--urgent", is_flag=True, help="Do not hold the job for blackouts or a database under strain."),
)
job_options = stack(
    click.option("--reason", required=True, help="Why these records are reset."),
    click.option("--priority", type=click.Choice(list(PRIORITIES)), default="normal", show_default=True),
    click.option("--max-rate", type=float, metavar="USERS_PER_SECOND", help="At most so many users a second."),
    click.option(
        "--chunk-size", type=IdOr("auto"), metavar="N|auto", default="auto", show_default=True, help="Users of a chunk."
    ),
    click.option("--idempotency-key", metavar="KEY", help="The same key and words give the same job."),
    on_result_option,
)
submit_options = stack(
    click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal."),
    click.option("--wait", is_flag=True, help="Return when the job has ended."),
    click.option("--watch", is_flag=True, help="Show its progress until it has ended."),
)


@click.group("preview", short_help="Exact counts of what a submit would do; writes nothing.")
def preview_group() -> None:
    """Count exactly what `submit` with the same options would do now; write nothing."""


@click.group("submit", short_help="Make a job.")
def submit_group() -> None:
    """Make a job: the users and the content are frozen now, the records are reset as they are then."""


@preview_group.command("training")
@user_options
@training_options
@when_options
@click.option("--list", "list_users", is_flag=True, help="Name the users.")
@pass_invocation
def preview_training(invocation: Invocation, /, *, list_users: bool, **words: Any) -> None:  # noqa: ANN401
    """[203] Reset training data."""
    _preview(invocation, training_request(words), words, list_users=list_users)


@preview_group.command("in-progress")
@user_options
@in_progress_options
@when_options
@click.option("--list", "list_users", is_flag=True, help="Name the users.")
@pass_invocation
def preview_in_progress(invocation: Invocation, /, *, list_users: bool, **words: Any) -> None:  # noqa: ANN401
    """[204] Reset "In Progress" data."""
    _preview(invocation, in_progress_request(words), words, list_users=list_users)


@submit_group.command("training")
@user_options
@training_options
@when_options
@job_options
@submit_options
@pass_invocation
def submit_training(invocation: Invocation, /, **words: Any) -> None:  # noqa: ANN401
    """[203] Reset training data: erase past attempts, put chapters and courses back to Incomplete."""
    _submit(invocation, training_request(words), words)


@submit_group.command("in-progress")
@user_options
@in_progress_options
@when_options
@job_options
@submit_options
@pass_invocation
def submit_in_progress(invocation: Invocation, /, **words: Any) -> None:  # noqa: ANN401
    """[204] Reset "In Progress" data: put what is in progress back to Not Started; erase no attempt."""
    _submit(invocation, in_progress_request(words), words)


for _group, _training, _in_progress in (
    (preview_group, preview_training, preview_in_progress),
    (submit_group, submit_training, submit_in_progress),
):
    _group.add_command(_training, "203")
    _group.add_command(_in_progress, "204")


def training_request(words: dict[str, Any]) -> ResetRequest:
    """Read the words of [203]."""
    content = ContentSelection(
        content_roles=flatten(words["content_roles"]),
        categories=flatten(words["categories"]),
        courses=flatten(words["courses"]),
        chapters=flatten(words["chapters"]),
        all_content=words["all_content"],
    )
    return _request(Kind.TRAINING, content, words)


def in_progress_request(words: dict[str, Any]) -> ResetRequest:
    """Read the words of [204]."""
    id_type, ids = words["id_type"], flatten(words["ids"])
    if (id_type is None) != (not ids):
        raise click.UsageError("--id-type and --id go together; give both: the one says what the ids of the other are")
    content = ContentSelection(
        content_roles=flatten(words["content_roles"]),
        categories=ids if id_type == "category" else (),
        courses=ids if id_type == "course" else (),
        chapters=ids if id_type == "chapter" else (),
        all_content=words["all_content"],
        all_chapters=words["all_chapters"],
    )
    return _request(Kind.IN_PROGRESS, content, words)


def _request(kind: Kind, content: ContentSelection, words: dict[str, Any]) -> ResetRequest:
    users = _users(words)
    return ResetRequest(kind=kind, users=users, content=content, location=words["location"], cutoff=words["cutoff"])


def _users(words: dict[str, Any]) -> UserSelection:
    ids, logins = split_users(flatten(words["users"]))
    if words["users_file"] is not None:
        file_ids, file_logins = read_users_file(words["users_file"])
        ids, logins = ids + file_ids, logins + file_logins
    excluded_ids, excluded_logins = split_users(flatten(words["excluded"]))
    return UserSelection(
        ids=ids,
        logins=logins,
        all_users=words["all_users"],
        excluded_ids=excluded_ids,
        excluded_logins=excluded_logins,
    )


def options_of_job(words: dict[str, Any]) -> JobOptions:
    """Read how a job is to run."""
    size = words["chunk_size"]
    options = replace(
        _when(words),
        reason=words["reason"],
        priority=PRIORITIES[words["priority"]],
        max_rate=words["max_rate"],
        chunk_size=None if size == "auto" else size,
        idempotency_key=words["idempotency_key"],
        on_result=words["on_result"],
    )
    options.check()
    return options


def _when(words: dict[str, Any]) -> JobOptions:
    """Read when the job of a preview may run."""
    return JobOptions(
        reason="a preview", not_before=words["not_before"], windows=words["windows"], urgent=words["urgent"]
    )


def _preview(invocation: Invocation, request: ResetRequest, words: dict[str, Any], *, list_users: bool) -> None:
    preview = invocation.administration.preview(request, _when(words))
    if invocation.as_json:
        print_json(preview_object(preview) | ({"user_ids": list(preview.user_ids)} if list_users else {}))
        return
    click.echo(preview_text(preview))
    if list_users:
        for user_id, login in invocation.administration.logins(preview.user_ids):
            click.echo(f"{user_id}\t{login}")


def _submit(invocation: Invocation, request: ResetRequest, words: dict[str, Any]) -> None:
    options = options_of_job(words)
    if words["yes"]:
        job, new = invocation.administration.submit(request, options)
    else:
        require_terminal()
        job, new = _ask_and_submit(invocation, request, options)
    earlier = f"job {job.id} was submitted before under this idempotency key"
    after_submit(invocation, job, why_not_new=None if new else earlier, wait=words["wait"], watch=words["watch"])


def require_terminal() -> None:
    """Make sure that there is somebody to ask.

    Raises:
        click.UsageError: there is no terminal.

    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("there is no terminal to ask at; give --yes")


def confirm(question: str) -> None:
    """Ask at the terminal whether to go on.

    Raises:
        click.UsageError: there is no terminal.
        InputRefused: the answer was no.

    """
    require_terminal()
    if not click.confirm(question, err=True):
        raise InputRefused("not confirmed; nothing was submitted")


def _ask_and_submit(invocation: Invocation, request: ResetRequest, options: JobOptions) -> tuple[Job, bool]:
    """Show the preview and ask; again, when the users changed between the answer and the freeze."""
    while True:
        preview = invocation.administration.preview(request, options)
        click.echo(preview_text(preview), err=True)
        confirm(f"Reset the records of {preview.total:,} users?")
        try:
            return invocation.administration.submit(request, options, expected_users=preview.users_digest)
        except UsersChanged as changed:
            invocation.warn(changed.message)
