"""`preview` and `submit`: the same options, so that a preview is of exactly what a submit would do."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from commands.context import Invocation, pass_invocation
from commands.output import preview_object, preview_text, print_json
from commands.usersfile import read_users_file
from commands.waiting import after_submit
from commands.words import Ids, Moment, MomentOrAge, Users, flatten, split_users
from jobs.errors import InputRefused
from jobs.model import Kind
from jobs.scope import PRIORITIES, ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import UsersChanged

Command = Callable[..., Any]


def _stack(*options: Command) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


user_options = _stack(
    click.option("--user", "users", type=Users(), multiple=True, help="Users, by id or login."),
    click.option(
        "--users-file", metavar="FILE|-", help="One id or login a line, or CSV with a column id or login."
    ),
    click.option("--all-users", is_flag=True, help="Every user of the location."),
    click.option("--exclude-user", "excluded", type=Users(), multiple=True, help="But not these."),
    click.option("--location", metavar="ID|all", help="Default: where you stand; all for super users only."),
)
content_role_option = click.option(
    "--content-role",
    "content_roles",
    type=Ids(),
    multiple=True,
    help="All chapters and courses of these roles; without a user option, for the users who hold one of them.",
)
training_options = _stack(
    content_role_option,
    click.option(
        "--category", "categories", type=Ids(), multiple=True, help="All courses of these categories."
    ),
    click.option("--course", "courses", type=Ids(), multiple=True, help="Whole courses."),
    click.option("--chapter", "chapters", type=Ids(), multiple=True, help="Single chapters."),
    click.option("--all-content", is_flag=True, help="Every course and chapter."),
    click.option("--completed-before", "cutoff", type=MomentOrAge(), help="Only what was completed before."),
)
in_progress_options = _stack(
    click.option("--id-type", type=click.Choice(["chapter", "course", "category"]), help="What the ids are."),
    click.option("--id", "ids", type=Ids(), multiple=True, help="Ids of that type."),
    content_role_option,
    click.option("--all", "all_content", is_flag=True, help="Every course and chapter."),
    click.option("--all-chapters", is_flag=True, help="Every chapter, no course as a whole."),
    click.option("--idle-since", "cutoff", type=MomentOrAge(), help="Only what was last active before."),
)
job_options = _stack(
    click.option("--reason", required=True, help="Why these records are reset."),
    click.option("--priority", type=click.Choice(list(PRIORITIES)), default="normal", show_default=True),
    click.option(
        "--max-rate", type=float, metavar="USERS_PER_SECOND", help="At most so many users a second."
    ),
    click.option(
        "--chunk-size", default="auto", metavar="N|auto", show_default=True, help="Users of a chunk."
    ),
    click.option("--not-before", type=Moment(), help="Hold the job until then."),
    click.option("--idempotency-key", metavar="KEY", help="The same key and words give the same job."),
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
@click.option("--list", "list_users", is_flag=True, help="Name the users.")
@pass_invocation
def preview_training(invocation: Invocation, /, *, list_users: bool, **words: Any) -> None:  # noqa: ANN401
    """[203] Reset training data."""
    _preview(invocation, training_request(**words), list_users=list_users)


@preview_group.command("in-progress")
@user_options
@in_progress_options
@click.option("--list", "list_users", is_flag=True, help="Name the users.")
@pass_invocation
def preview_in_progress(invocation: Invocation, /, *, list_users: bool, **words: Any) -> None:  # noqa: ANN401
    """[204] Reset "In Progress" data."""
    _preview(invocation, in_progress_request(**words), list_users=list_users)


@submit_group.command("training")
@user_options
@training_options
@job_options
@pass_invocation
def submit_training(invocation: Invocation, /, **words: Any) -> None:  # noqa: ANN401
    """[203] Reset training data: erase past attempts, put chapters and courses back to Incomplete."""
    _submit(invocation, training_request, words)


@submit_group.command("in-progress")
@user_options
@in_progress_options
@job_options
@pass_invocation
def submit_in_progress(invocation: Invocation, /, **words: Any) -> None:  # noqa: ANN401
    """[204] Reset "In Progress" data: put what is in progress back to Not Started; erase no attempt."""
    _submit(invocation, in_progress_request, words)


for _group, _training, _in_progress in (
    (preview_group, preview_training, preview_in_progress),
    (submit_group, submit_training, submit_in_progress),
):
    _group.add_command(_training, "203")
    _group.add_command(_in_progress, "204")


def training_request(
    *,
    categories: tuple[tuple[int, ...], ...],
    courses: tuple[tuple[int, ...], ...],
    chapters: tuple[tuple[int, ...], ...],
    content_roles: tuple[tuple[int, ...], ...],
    all_content: bool,
    cutoff: datetime | timedelta | None,
    **users: Any,  # noqa: ANN401
) -> ResetRequest:
    """Read the words of [203]."""
    content = ContentSelection(
        content_roles=flatten(content_roles),
        categories=flatten(categories),
        courses=flatten(courses),
        chapters=flatten(chapters),
        all_content=all_content,
    )
    return _request(Kind.TRAINING, content, cutoff, **users)


def in_progress_request(
    *,
    id_type: str | None,
    ids: tuple[tuple[int, ...], ...],
    content_roles: tuple[tuple[int, ...], ...],
    all_content: bool,
    all_chapters: bool,
    cutoff: datetime | timedelta | None,
    **users: Any,  # noqa: ANN401
) -> ResetRequest:
    """Read the words of [204]."""
    if (id_type is None) != (not ids):
        raise click.UsageError("--id-type and --id go together: the one says what the ids of the other are.")
    field = {None: "chapters", "chapter": "chapters", "course": "courses", "category": "categories"}[id_type]
    content = ContentSelection(
        content_roles=flatten(content_roles),
        all_content=all_content,
        all_chapters=all_chapters,
        **{field: flatten(ids)},
    )
    return _request(Kind.IN_PROGRESS, content, cutoff, **users)


def _request(
    kind: Kind,
    content: ContentSelection,
    cutoff: datetime | timedelta | None,
    *,
    users: tuple[tuple[str, ...], ...],
    users_file: str | None,
    all_users: bool,
    excluded: tuple[tuple[str, ...], ...],
    location: str | None,
) -> ResetRequest:
    ids, logins = split_users(flatten(users))
    if users_file is not None:
        file_ids, file_logins = read_users_file(users_file)
        ids, logins = ids + file_ids, logins + file_logins
    excluded_ids, excluded_logins = split_users(flatten(excluded))
    return ResetRequest(
        kind=kind,
        users=UserSelection(
            ids=ids,
            logins=logins,
            all_users=all_users,
            excluded_ids=excluded_ids,
            excluded_logins=excluded_logins,
        ),
        content=content,
        location=read_location(location),
        cutoff=cutoff,
    )


def read_location(word: str | None) -> Any:  # noqa: ANN401 - an id, "all" or None
    """Read the value of --location."""
    if word is None or word == "all":
        return word
    ids = Ids().convert(word, None, None)
    if len(ids) != 1:
        raise click.UsageError(f"--location takes one id or all, not {word!r}.")
    return ids[0]


def _options(
    *,
    priority: str,
    chunk_size: str,
    reason: str,
    max_rate: float | None,
    not_before: datetime | None,
    key: str | None,
) -> JobOptions:
    if chunk_size != "auto" and not chunk_size.isdecimal():
        raise click.UsageError(f"--chunk-size takes a whole number or auto, not {chunk_size!r}.")
    options = JobOptions(
        reason=reason,
        priority=PRIORITIES[priority],
        max_rate=max_rate,
        chunk_size=None if chunk_size == "auto" else int(chunk_size),
        not_before=not_before,
        idempotency_key=key,
    )
    options.check()
    return options


def _preview(invocation: Invocation, request: ResetRequest, *, list_users: bool) -> None:
    preview = invocation.administration.preview(request)
    if invocation.as_json:
        print_json(preview_object(preview) | ({"user_ids": list(preview.user_ids)} if list_users else {}))
        return
    click.echo(preview_text(preview))
    if list_users:
        for user_id, login in invocation.administration.logins(preview.user_ids):
            click.echo(f"{user_id}\t{login}")


def _submit(invocation: Invocation, read: Callable[..., ResetRequest], words: dict[str, Any]) -> None:
    follow = {name: words.pop(name) for name in ("wait", "watch")}
    yes = words.pop("yes")
    options = _options(
        key=words.pop("idempotency_key"),
        **{name: words.pop(name) for name in ("priority", "chunk_size", "reason", "max_rate", "not_before")},
    )
    request = read(**words)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("there is no terminal to ask at; give --yes.")
    if yes:
        job, new = invocation.administration.submit(request, options)
    else:
        job, new = _ask_and_submit(invocation, request, options)
    after_submit(invocation, job, new=new, **follow)


def _ask_and_submit(invocation: Invocation, request: ResetRequest, options: JobOptions) -> Any:  # noqa: ANN401
    """Show the preview and ask; again, when the users changed between the answer and the freeze."""
    while True:
        preview = invocation.administration.preview(request)
        click.echo(preview_text(preview), err=True)
        if not click.confirm(f"Reset the records of {preview.total:,} users?", err=True):
            raise InputRefused("not confirmed; nothing was submitted")
        try:
            return invocation.administration.submit(request, options, expected_users=preview.users_digest)
        except UsersChanged as changed:
            invocation.warn(changed.message)
