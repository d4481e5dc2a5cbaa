"""`fabric-jobs job-types pause`: stops the start of jobs of one type."""

import click

from fabric_jobs.cli.clients.identity import operator_name
from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.options import job_type_arguments, status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note
from fabric_jobs.cli.output.times import format_time
from fabric_jobs.contract.controls import MAX_REASON_CHARS


@click.command("pause")
@job_type_arguments
@click.option(
    "--reason",
    required=True,
    help=f"Why, for other operators; at most {MAX_REASON_CHARS} characters.",
)
@status_api_options
def pause_command(item_type: str, job_type: str, reason: str, json: bool, grpc: str) -> None:
    """Pause a job type.

    No further job of the type starts, on any facade, until the type is resumed. Runs go on, and new
    jobs are accepted. A job that has not started 110 minutes after it was created fails as
    JobTypePaused.
    """
    paused = call_status_api(
        grpc, lambda api: api.pause_job_type(item_type, job_type, reason, operator_name())
    )
    click.echo(message_json(paused) if json else f"paused {item_type} {job_type}")
    if paused.in_progress:
        print_note(f"Jobs in progress, which go on: {paused.in_progress}.")
    if paused.not_started:
        print_note(
            f"Jobs that wait: {paused.not_started}. The oldest fails as JobTypePaused at "
            f"{format_time(paused.start_deadline)} unless it starts before."
        )
    print_note(f"Resume with `fabric-jobs job-types resume {item_type} {job_type}`.")
