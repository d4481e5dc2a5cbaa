"""`fabric-jobs job-types list`: shows the job types, their waiting jobs, and their pauses."""

import click

from fabric_jobs.cli.clients.status_api import StatusApi, call_status_api
from fabric_jobs.cli.options import status_api_options
from fabric_jobs.cli.output.job_types import job_types_table
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note, print_table


@click.command("list")
@status_api_options
def list_command(json: bool, grpc: str) -> None:
    """Show job types, with their jobs and pauses.

    The list has each type that an executor serves, that an unfinished job has, or that is paused.
    """
    job_types = call_status_api(grpc, StatusApi.job_types)
    if json:
        for job_type in job_types:
            click.echo(message_json(job_type))
    elif job_types:
        print_table(job_types_table(job_types))
    else:
        print_note("No executor is connected, no job is unfinished, and no job type is paused.")
