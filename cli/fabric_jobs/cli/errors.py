"""The errors that end a command: one line on stderr, and an exit code."""

import click

from fabric_jobs.runtime.text import one_line


class CommandError(click.ClickException):
    """The command could not do its work."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(CommandError):
    """The input is wrong, or the server that it names does not answer."""

    exit_code = 2
