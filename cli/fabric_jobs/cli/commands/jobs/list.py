"""`fabric-jobs jobs list`: shows the jobs that match the filters."""

import click

from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.options import format_filters, job_filter_options, status_api_options
from fabric_jobs.cli.output.jobs import jobs_table
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note, print_table
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("list")
@job_filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Show at most this many jobs.",
)
@click.option("--ids", is_flag=True, help="Print only the ids, one on each line, for xargs.")
@status_api_options
@click.pass_context
def list_command(
    context: click.Context,
    filters: pb.ListJobsRequest,
    limit: int,
    ids: bool,
    json: bool,
    grpc: str,
) -> None:
    """Show jobs, the newest first.

    A time is either a point in time, such as 2026-11-23T20:14:01Z, or an age: 30m, 2h, 7d.
    """
    jobs, more = call_status_api(grpc, lambda api: api.list(filters, limit))
    if ids or json:
        for job in jobs:
            click.echo(job.job_id if ids else message_json(job))
    elif jobs:
        print_table(jobs_table(jobs))
    elif typed := format_filters(context):
        print_note(f"No job matches {typed}. Try fewer filters.")
    else:
        print_note("There are no jobs yet. Start one with `fabric-jobs submit`.")
    if more:
        print_note(
            f"More jobs match than --limit {limit} shows. Narrow the filters, or raise the limit."
        )
