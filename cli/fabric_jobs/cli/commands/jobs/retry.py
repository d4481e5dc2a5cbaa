"""`fabric-jobs jobs retry`: starts an ended job again as a new job."""

from uuid import UUID

import click

from fabric_jobs.cli.clients.fabric import new_guid
from fabric_jobs.cli.clients.status_api import StatusApi, UnavailableError, call_status_api
from fabric_jobs.cli.options import job_id_argument, status_api_options
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("retry")
@job_id_argument
@click.option(
    "--new-id", type=click.UUID, default=new_guid, help="The new job's id. Default: a new id."
)
@status_api_options
def retry_command(job_id: UUID, new_id: UUID, json: bool, grpc: str) -> None:
    """Start an ended job again as a new job, and print the new job's id."""
    job = call_status_api(grpc, lambda api: _retry(api, str(job_id), str(new_id)))
    click.echo(message_json(job) if json else job.job_id)


async def _retry(api: StatusApi, job_id: str, new_id: str) -> pb.Job:
    try:
        return await api.retry(job_id, new_id)
    except UnavailableError as error:
        again = "The new job may still start. To try again without starting it twice, add --new-id"
        raise UnavailableError(f"{error.message} {again} {new_id}.") from error
