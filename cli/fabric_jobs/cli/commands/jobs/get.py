"""`fabric-jobs jobs get`: shows one job."""

from uuid import UUID

import click

from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.options import job_id_argument, status_api_options
from fabric_jobs.cli.output.jobs import job_table
from fabric_jobs.cli.output.json_lines import job_json
from fabric_jobs.cli.output.tables import print_table


@click.command("get")
@job_id_argument
@status_api_options
def get_command(job_id: UUID, json: bool, grpc: str) -> None:
    """Show everything that is known about a job."""
    got = call_status_api(grpc, lambda api: api.get(str(job_id)))
    if json:
        click.echo(job_json(got))
    else:
        print_table(job_table(got))
