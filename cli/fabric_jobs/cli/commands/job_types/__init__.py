"""`fabric-jobs job-types`: shows job types, pauses and resumes them."""

import click

from fabric_jobs.cli.commands.job_types.list import list_command
from fabric_jobs.cli.commands.job_types.pause import pause_command
from fabric_jobs.cli.commands.job_types.resume import resume_command


@click.group("job-types")
def job_types() -> None:
    """Show job types, pause and resume them."""


for _command in (list_command, pause_command, resume_command):
    job_types.add_command(_command)
