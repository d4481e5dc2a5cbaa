"""`fabric-jobs job-types resume`: lets the jobs of a paused type start again."""

import click

from fabric_jobs.cli.clients.identity import operator_name
from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.options import job_type_arguments, status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note


@click.command("resume")
@job_type_arguments
@status_api_options
def resume_command(item_type: str, job_type: str, json: bool, grpc: str) -> None:
    """Resume a job type. The jobs that wait then start in their usual order."""
    resumed = call_status_api(
        grpc, lambda api: api.resume_job_type(item_type, job_type, operator_name())
    )
    click.echo(message_json(resumed) if json else f"resumed {item_type} {job_type}")
    if resumed.not_started and not resumed.executors:
        print_note(f"Jobs that wait: {resumed.not_started}. No executor has a handler for them.")
