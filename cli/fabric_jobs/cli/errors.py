"""What ends a command: one line for its user, and an exit code."""

import click


class CommandError(click.ClickException):
    """The command could not do its work."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(CommandError):
    """What was asked for can't be done: bad input, or nobody answers."""

    exit_code = 2


def one_line(text: str) -> str:
    """The text without its line breaks, and without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
