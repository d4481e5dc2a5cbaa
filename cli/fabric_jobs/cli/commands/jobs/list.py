"""`fabric-jobs jobs list`: the jobs that fit the filters."""

import shlex
from datetime import datetime

import click

from fabric_jobs.cli.commands.jobs import options
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.output.jobs import as_json, list_table, note, put
from fabric_jobs.cli.output.times import When
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.wire import STATUSES, time_to_proto
from fabric_jobs.runtime.times import to_seconds
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: The options that are no filters.
_OTHERS = {"limit", "ids", "json", "grpc"}


@click.command("list")
@click.option(
    "--status",
    "statuses",
    type=click.Choice([*map(str, JobInstanceStatus)], case_sensitive=False),
    multiple=True,
    metavar="STATUS",
    help=f"Only jobs of this status: {', '.join(JobInstanceStatus)}. May be given repeatedly.",
)
@click.option("--job-type", metavar="TYPE", default="", help="Only jobs of this type.")
@click.option("--item-type", metavar="TYPE", default="", help="Only jobs on items of this type.")
@click.option("--workspace", type=click.UUID, help="Only jobs of this workspace.")
@click.option("--item", type=click.UUID, help="Only jobs on this item.")
@click.option("--since", type=When(), help="Only jobs accepted then or later, such as 2h ago.")
@click.option("--until", type=When(), help="Only jobs accepted before.")
@click.option("--exhausted", is_flag=True, help="Only jobs whose attempts are used up.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--ids", is_flag=True, help="For xargs: the ids alone, a line each.")
@options.json
@options.grpc
@click.pass_context
def list_command(
    context: click.Context,
    statuses: tuple[str, ...],
    job_type: str,
    item_type: str,
    workspace: str | None,
    item: str | None,
    since: datetime | None,
    until: datetime | None,
    exhausted: bool,
    limit: int,
    ids: bool,
    json: bool,
    grpc: str,
) -> None:
    """Show jobs, the newest first.

    A time is one such as 2026-11-23T20:14:01Z, or how long ago it was: 30m, 2h, 7d.
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
    jobs, more = options.ask(grpc, lambda api: api.list(filters, limit))
    if ids or json:
        for job in jobs:
            click.echo(job.job_id if ids else as_json(job))
    elif jobs:
        put(list_table(jobs))
    elif given := _given(context):
        note(f"No job fits {given}: try fewer filters.")
    else:
        note("There is no job yet: `fabric-jobs submit` asks for one.")
    if more:
        note(f"More jobs fit than --limit {limit}: narrow the filters, or raise it.")


def _given(context: click.Context) -> str:
    """The filters as they can be typed again."""
    words = list[str]()
    for option in context.command.params:
        given = context.params[str(option.name)]
        if option.name in _OTHERS or not given:
            continue
        for value in given if isinstance(given, tuple) else (given,):
            words.append(option.opts[0])
            if isinstance(value, datetime):
                words.append(to_seconds(value))
            elif value is not True:
                words.append(str(value))
    return shlex.join(words)
