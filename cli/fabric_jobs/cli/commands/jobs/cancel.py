"""`fabric-jobs jobs cancel`: cancels one job, or all jobs that match filters."""

from typing import Any
from uuid import UUID

import click

from fabric_jobs.cli.clients.status_api import StatusApi, call_status_api
from fabric_jobs.cli.commands.jobs.bulk import (
    Bulk,
    BulkOptions,
    bulk_options,
    check_target,
    run_bulk,
)
from fabric_jobs.cli.options import status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("cancel")
@click.argument("job_id", type=click.UUID, required=False)
@bulk_options
@status_api_options
@click.pass_context
def cancel_command(
    context: click.Context,
    /,
    job_id: UUID | None,
    filters: pb.ListJobsRequest,
    json: bool,
    grpc: str,
    **options: Any,
) -> None:
    """Cancel a job, and print its status after the cancel.

    Without JOB_ID, cancel every unfinished job that matches the filters, at least one of which is
    required. The jobs are counted first, and you are asked.
    """
    check_target(job_id, filters, BulkOptions(**options))
    if job_id is None:
        run_bulk(context, grpc, _CANCELS, filters, BulkOptions(**options))
        return
    job = call_status_api(grpc, lambda api: api.cancel(str(job_id)))
    click.echo(message_json(job) if json else STATUS_NAMES[job.status])
    if job.phase == pb.JOB_PHASE_STOPPING:
        print_note(
            "The executor was asked to stop the job. "
            f"Follow the job with `fabric-jobs jobs watch {job_id}`."
        )
    elif job.status != pb.JOB_INSTANCE_STATUS_CANCELLED:
        print_note("The job had already ended.")


async def _cancel(api: StatusApi, job: pb.Job) -> str:
    after = await api.cancel(job.job_id)
    if after.phase == pb.JOB_PHASE_STOPPING:
        return "asked to stop"
    if after.status == pb.JOB_INSTANCE_STATUS_CANCELLED:
        return "cancelled"
    return f"had already ended as {STATUS_NAMES[after.status]}"


_CANCELS = Bulk(
    verb="cancel",
    statuses=[pb.JOB_INSTANCE_STATUS_NOT_STARTED, pb.JOB_INSTANCE_STATUS_IN_PROGRESS],
    change=_cancel,
)
