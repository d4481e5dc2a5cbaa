"""`fabric-jobs jobs retry`: starts ended jobs again as new jobs."""

from typing import Any
from uuid import UUID

import click

from fabric_jobs.cli.clients.fabric import new_guid
from fabric_jobs.cli.clients.status_api import StatusApi, UnavailableError, call_status_api
from fabric_jobs.cli.commands.jobs.bulk import (
    Bulk,
    BulkOptions,
    bulk_options,
    check_target,
    run_bulk,
)
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.options import status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.contract.guids import retry_id
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("retry")
@click.argument("job_id", type=click.UUID, required=False)
@click.option("--new-id", type=click.UUID, help="The new job's id. Default: a new id.")
@bulk_options
@status_api_options
@click.pass_context
def retry_command(
    context: click.Context,
    /,
    job_id: UUID | None,
    new_id: UUID | None,
    filters: pb.ListJobsRequest,
    json: bool,
    grpc: str,
    **options: Any,
) -> None:
    """Start an ended job again as a new job, and print the new job's id.

    Without JOB_ID, retry every failed job that matches the filters, at least one of which is
    required, and that no other job has replaced. The jobs are counted first, and you are asked.
    """
    check_target(job_id, filters, BulkOptions(**options))
    if job_id is None:
        if new_id:
            raise InputError("--new-id names the new job of one JOB_ID.")
        run_bulk(context, grpc, _RETRIES, filters, BulkOptions(**options))
        return
    new_job_id = str(new_id or new_guid())
    job = call_status_api(grpc, lambda api: _retry(api, str(job_id), new_job_id))
    click.echo(message_json(job) if json else job.job_id)


async def _retry(api: StatusApi, job_id: str, new_id: str) -> pb.Job:
    try:
        return await api.retry(job_id, new_id)
    except UnavailableError as error:
        again = "The new job may still start. To try again without starting it twice, add --new-id"
        raise UnavailableError(f"{error.message} {again} {new_id}.") from error


async def _retry_once(api: StatusApi, job: pb.Job) -> str:
    """Retries a job, however often it is called: the new id follows from the old one."""
    await api.retry(job.job_id, retry_id(job.job_id))
    return "retried"


_RETRIES = Bulk(
    verb="retry",
    statuses=[pb.JOB_INSTANCE_STATUS_FAILED],
    unreplaced=True,
    change=_retry_once,
)
