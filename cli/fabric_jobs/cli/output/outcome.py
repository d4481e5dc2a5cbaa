"""How a job's end ends a command that waited for it."""

import click

from fabric_jobs.cli.errors import one_line
from fabric_jobs.contract.jobs import JobInstanceStatus

EXIT_CODES = {
    JobInstanceStatus.COMPLETED: 0,
    JobInstanceStatus.FAILED: 1,
    JobInstanceStatus.CANCELLED: 3,
}


def told(status: JobInstanceStatus, error: str | None) -> int:
    """The exit code, once the final status is on stdout, and what went wrong on stderr."""
    if error:
        click.echo(one_line(error), err=True)
    click.echo(status)
    return EXIT_CODES[status]
