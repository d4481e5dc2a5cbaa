"""`fabric-jobs executors list`: shows the executors and their free slots."""

import click

from fabric_jobs.cli.clients.status_api import StatusApi, call_status_api
from fabric_jobs.cli.options import status_api_options
from fabric_jobs.cli.output.executors import executors_table
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note, print_table


@click.command("list")
@status_api_options
def list_command(json: bool, grpc: str) -> None:
    """Show the executors that sent a heartbeat within the last lease."""
    executors = call_status_api(grpc, StatusApi.executors)
    if json:
        for executor in executors:
            click.echo(message_json(executor))
    elif executors:
        print_table(executors_table(executors))
    else:
        print_note(
            "No executor is connected. "
            "Start one with `python -m fabric_jobs.executor MODULE:EXECUTOR`."
        )
