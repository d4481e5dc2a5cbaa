"""`fabric-jobs jobs list`: shows the jobs that match the filters."""

import shlex
from datetime import datetime
from uuid import UUID

import click

from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.options import Time, status_api_options
from fabric_jobs.cli.output.jobs import jobs_table
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note, print_table
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.wire import STATUSES, time_to_proto
from fabric_jobs.runtime.times import format_time
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: The options that filter no jobs.
_OTHER_OPTIONS = {"limit", "ids", "json", "grpc"}


@click.command("list")
@click.option(
    "--status",
    "statuses",
    type=click.Choice([*map(str, JobInstanceStatus)], case_sensitive=False),
    multiple=True,
    metavar="STATUS",
    help=f"Only jobs with this status: {', '.join(JobInstanceStatus)}. May be repeated.",
)
@click.option("--job-type", metavar="TYPE", default="", help="Only jobs of this type.")
@click.option("--item-type", metavar="TYPE", default="", help="Only jobs on items of this type.")
@click.option("--workspace", type=click.UUID, help="Only jobs in this workspace.")
@click.option("--item", type=click.UUID, help="Only jobs on this item.")
@click.option("--since", type=Time(), help="Only jobs created at this time or later, such as 2h.")
@click.option("--until", type=Time(), help="Only jobs created before this time.")
@click.option("--exhausted", is_flag=True, help="Only jobs whose attempts have all failed.")
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
    statuses: tuple[str, ...],
    job_type: str,
    item_type: str,
    workspace: UUID | None,
    item: UUID | None,
    since: datetime | None,
    until: datetime | None,
    exhausted: bool,
    limit: int,
    ids: bool,
    json: bool,
    grpc: str,
) -> None:
    """Show jobs, the newest first.

    A time is either a point in time, such as 2026-11-23T20:14:01Z, or an age: 30m, 2h, 7d.
    """
    if since and until and since >= until:
        raise InputError("--since must be a time before --until.")
    filters = pb.ListJobsRequest(
        statuses=[STATUSES[JobInstanceStatus(status)] for status in statuses],
        job_type=job_type,
        item_type=item_type,
        workspace_id=str(workspace or ""),
        item_id=str(item or ""),
        exhausted=exhausted,
        start_create_time=time_to_proto(since),
        end_create_time=time_to_proto(until),
    )
    jobs, more = call_status_api(grpc, lambda api: api.list(filters, limit))
    if ids or json:
        for job in jobs:
            click.echo(job.job_id if ids else message_json(job))
    elif jobs:
        print_table(jobs_table(jobs))
    elif typed := _format_filters(context):
        print_note(f"No job matches {typed}. Try fewer filters.")
    else:
        print_note("There are no jobs yet. Start one with `fabric-jobs submit`.")
    if more:
        print_note(
            f"More jobs match than --limit {limit} shows. Narrow the filters, or raise the limit."
        )


def _format_filters(context: click.Context) -> str:
    """Returns the filters of this call as they can be typed again."""
    words = list[str]()
    for option in context.command.params:
        values = context.params[str(option.name)]
        if option.name in _OTHER_OPTIONS or not values:
            continue
        for value in values if isinstance(values, tuple) else (values,):
            words.append(option.opts[0])
            if isinstance(value, datetime):
                words.append(format_time(value))
            elif value is not True:
                words.append(str(value))
    return shlex.join(words)
