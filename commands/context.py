"""What every command gets: the settings, how to print, and the use cases of whoever acts."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from jobs.database import Database
from jobs.errors import DatabaseUnavailable, InputRefused, shown
from jobs.services import Administration
from jobs.settings import Settings

if TYPE_CHECKING:  # a command that is not about schedules starts the sooner
    from jobs.scheduling import Scheduling


@dataclass
class Invocation:
    """One call of the program.

    Attributes:
        as_json: print data as JSON.
        quiet: print no chatter.

    """

    settings: Settings
    as_json: bool
    quiet: bool
    verbose: bool

    @cached_property
    def database(self) -> Database:
        """The database; the data directory is made when SQLite lies there.

        Raises:
            DatabaseUnavailable: the data directory cannot be made or written.

        """
        if self.settings.database_url is None:
            self.make_home()
        return Database(self.settings.database, self.settings.database_busy_seconds)

    @cached_property
    def administration(self) -> Administration:
        """The use cases of whoever acts."""
        return Administration(self.database, self.settings.actor)

    @cached_property
    def scheduling(self) -> "Scheduling":
        """The use cases about schedules of whoever acts."""
        from jobs.scheduling import Scheduling  # noqa: PLC0415 - see above

        grace = timedelta(seconds=self.settings.schedule_grace_seconds)
        return Scheduling(self.database, self.settings.actor, grace)

    def make_home(self) -> None:
        """Make the data directory, for its owner alone.

        Raises:
            DatabaseUnavailable: it cannot be made.

        """
        try:
            self.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(
                f"the data directory {self.settings.home} cannot be made ({error.strerror}); "
                "set TRAINING_RESET_HOME to a directory that can be written"
            ) from error

    def say(self, text: str) -> None:
        """Print chatter on stderr, unless quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print what somebody should know, quiet or not."""
        click.echo(f"warning: {text}", err=True)


_SECRETS = ("RESULT_SECRET", "SMTP_URL")

pass_invocation = click.make_pass_decorator(Invocation)


def load_settings(given: dict[str, object]) -> Settings:
    """Read the settings; what the command line gives goes before the environment.

    Raises:
        InputRefused: naming the setting, its value and what is wrong with it.

    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        value = "" if name in _SECRETS else f"={shown(str(first['input']))!r}"
        told = f"TRAINING_RESET_{name}{value}: " if name else ""
        raise InputRefused(f"{told}{first['msg'].removeprefix('Value error, ')}; correct the setting") from error
