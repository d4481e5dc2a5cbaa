"""Tables on stdout and notes on stderr, for people."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fabric_jobs.runtime.text import one_line

#: Characters of an error or a progress message in a table.
MAX_DETAIL_CHARS = 80
#: Characters of a line that is not folded.
_UNLIMITED_WIDTH = 1_000_000


def new_table(*columns: str) -> Table:
    """Returns an empty table with these columns, of which only the last may be folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold", min_width=20)
    return table


def print_table(table: Table) -> None:
    """Prints the table on stdout. On a terminal, folds the last column to the terminal's width."""
    unlimited = Console(width=_UNLIMITED_WIDTH)
    size = unlimited.measure(table)
    width = max(Console().width, size.minimum) if unlimited.is_terminal else size.maximum
    console = Console(width=min(width, size.maximum), highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_note(note: str) -> None:
    """Prints a hint for a person. It goes to stderr, so that scripts read only results."""
    click.echo(note, err=True)


def plain_text(words: str) -> Text:
    """Returns the text on one line, without markup and without control characters."""
    return Text(one_line(words))


def shorten(words: str) -> str:
    """Returns the text on one line, with `…` in place of what exceeds `MAX_DETAIL_CHARS`."""
    line = one_line(words)
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[: MAX_DETAIL_CHARS - 1]}…"
