"""The one place where an error becomes a line on stderr and an exit code."""

import json
import traceback
from collections.abc import Sequence

import click
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs import errors
from jobs.database import first_line, is_busy
from jobs.errors import shown

EXIT_CODES: dict[type[errors.TrainingResetError], int] = {
    errors.InputRefused: 3,
    errors.NotFound: 3,
    errors.NotPermitted: 4,
    errors.Conflict: 5,
    errors.DatabaseUnavailable: 6,
    errors.BrokerUnavailable: 6,
}
UNEXPECTED, USAGE, DATABASE, ENDED_BADLY, INTERRUPTED = 1, 2, 6, 7, 130


def exit_code_of(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what went wrong, in one line or as JSON, and give the exit code.

    Args:
        error: what ended the command.
        arguments: the words of the command line, which may ask for JSON or for tracebacks.

    """
    options = _global_options(arguments)
    if "-v" in options or "--verbose" in options:
        traceback.print_exception(error)
    code, name, message, data = _describe(error)
    if message:
        if "--json" in options:
            body = {"error": {"code": name, "message": message, **data}}
            click.echo(json.dumps(body, default=str), err=True)
        else:
            click.echo(f"error: {message}", err=True)
    return code


def _describe(error: BaseException) -> tuple[int, str, str, dict[str, object]]:
    """Give exit code, name, sentence and data; an empty sentence says nothing."""
    match error:
        case errors.TrainingResetError():
            code = next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
            return code, error.code, error.message, error.data
        case click.exceptions.ClickException() | click.exceptions.Exit() | click.Abort():
            return (*_describe_click(error), {})
        case DBAPIError():
            return (*_describe_database(error), {})
    return (*_describe_rest(error), {})


def _describe_rest(error: BaseException) -> tuple[int, str, str]:
    """Describe what Python itself raises."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted", "interrupted"
        case SystemExit():
            return error.code if isinstance(error.code, int) else UNEXPECTED, "exit", ""
        case UnicodeEncodeError(encoding="utf-8"):
            return USAGE, "usage", f"{shown(error.object)!r} is not UTF-8 text; give it in UTF-8"
    text = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
    return UNEXPECTED, "unexpected", f"{text}; {_MEND_UNEXPECTED}"


def _describe_click(error: click.ClickException | click.exceptions.Exit | click.Abort) -> tuple[int, str, str]:
    match error:
        case click.exceptions.Exit():
            return error.exit_code, "exit", ""
        case click.Abort():
            return INTERRUPTED, "interrupted", "interrupted"
        case click.UsageError():
            return USAGE, "usage", _usage(error)
    return error.exit_code, "refused", error.format_message()


def _usage(error: click.UsageError) -> str:
    """Give what is wrong and, where click does not say it, what to do."""
    where = error.ctx.command_path if error.ctx else "training-reset"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"'{where}' needs a command; see '{where} --help'"
    message = " ".join(error.format_message().rstrip(".").split("\n"))
    return message if "; " in message else f"{message}; see '{where} --help'"


def _describe_database(error: DBAPIError) -> tuple[int, str, str]:
    if isinstance(error, OperationalError) and is_busy(error):
        return DATABASE, "database_unavailable", f"the database failed: {first_line(error)}; {_MEND_LOCKED}"
    if isinstance(error, OperationalError):
        return DATABASE, "database_unavailable", f"the database failed: {first_line(error)}; {_MEND_DATABASE}"
    return UNEXPECTED, "unexpected", f"the database refused: {first_line(error)}; {_MEND_UNEXPECTED}"


_MEND_LOCKED = (
    "nothing was changed; somebody holds its lock, at most for a chunk's deadline if a worker: try again then"
)
_MEND_DATABASE = "run 'training-reset doctor'"
_MEND_UNEXPECTED = "run it again with -v before the command and report what it shows"


def _global_options(arguments: Sequence[str]) -> list[str]:
    """Give the words that stand before the command."""
    options: list[str] = []
    for word in arguments:
        if not word.startswith("-") and (not options or options[-1] not in _OPTIONS_WITH_VALUE):
            break
        options.append(word)
    return options


_OPTIONS_WITH_VALUE = ("--database-url", "--broker-url", "--as")
