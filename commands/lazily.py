"""A group whose commands are imported when they are asked for, so that each starts as fast as it can."""

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """A click group made of names.

    Args:
        places: for each command, in the order of the help, `module:attribute`.

    """

    def __init__(self, *args: object, places: Mapping[str, str], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._places = dict(places)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names in the order in which they were given."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command
