"""`fabric-jobs jobs cancel`: cancels one job."""

from uuid import UUID

import click

from fabric_jobs.cli.clients.status_api import call_status_api
from fabric_jobs.cli.options import job_id_argument, status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.tables import print_note
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("cancel")
@job_id_argument
@status_api_options
def cancel_command(job_id: UUID, json: bool, grpc: str) -> None:
    """Cancel a job, and print its status after the cancel."""
    job = call_status_api(grpc, lambda api: api.cancel(str(job_id)))
    click.echo(message_json(job) if json else STATUS_NAMES[job.status])
    if job.phase == pb.JOB_PHASE_STOPPING:
        print_note(
            "The executor was asked to stop the job. "
            f"Follow the job with `fabric-jobs jobs watch {job_id}`."
        )
    elif job.status != pb.JOB_INSTANCE_STATUS_CANCELLED:
        print_note("The job had already ended.")
