"""`fabric-jobs jobs`: finds jobs, shows and follows them, cancels and retries them."""

import click

from fabric_jobs.cli.commands.jobs.cancel import cancel_command
from fabric_jobs.cli.commands.jobs.events import events_command
from fabric_jobs.cli.commands.jobs.get import get_command
from fabric_jobs.cli.commands.jobs.list import list_command
from fabric_jobs.cli.commands.jobs.retry import retry_command
from fabric_jobs.cli.commands.jobs.watch import watch_command


@click.group("jobs")
def jobs() -> None:
    """Find jobs, show and follow them, cancel and retry them."""


for _command in (
    list_command,
    get_command,
    watch_command,
    cancel_command,
    retry_command,
    events_command,
):
    jobs.add_command(_command)
