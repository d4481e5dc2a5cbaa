"""Reports the final status of a job that a command waited for."""

import click

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.runtime.text import one_line

EXIT_CODES = {
    JobInstanceStatus.COMPLETED: 0,
    JobInstanceStatus.FAILED: 1,
    JobInstanceStatus.CANCELLED: 3,
}


def report_outcome(status: JobInstanceStatus, error: str | None) -> int:
    """Prints the status on stdout and the error on stderr. Returns the exit code."""
    if error:
        click.echo(one_line(error), err=True)
    click.echo(status)
    return EXIT_CODES[status]
