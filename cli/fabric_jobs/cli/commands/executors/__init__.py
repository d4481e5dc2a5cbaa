"""`fabric-jobs executors`: shows the connected executors."""

import click

from fabric_jobs.cli.commands.executors.list import list_command


@click.group("executors")
def executors() -> None:
    """Show the connected executors."""


executors.add_command(list_command)
