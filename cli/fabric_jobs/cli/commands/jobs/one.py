"""The commands that look at one job, or ask something of it."""

import click

from fabric_jobs.cli.clients.fabric import new_guid
from fabric_jobs.cli.clients.status_api import StatusApi, UnavailableError
from fabric_jobs.cli.commands.jobs import options
from fabric_jobs.cli.output.jobs import as_json, got_json, job_table, note, put
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.command("get")
@options.job_id
@options.json
@options.grpc
def get_command(job_id: str, json: bool, grpc: str) -> None:
    """Show all that is known of a job."""
    got = options.ask(grpc, lambda api: api.get(str(job_id)))
    if json:
        click.echo(got_json(got))
    else:
        put(job_table(got))


@click.command("cancel")
@options.job_id
@options.json
@options.grpc
def cancel_command(job_id: str, json: bool, grpc: str) -> None:
    """Cancel a job, and print the status that follows."""
    job = options.ask(grpc, lambda api: api.cancel(str(job_id)))
    click.echo(as_json(job) if json else STATUS_NAMES[job.status])
    if job.phase == pb.JOB_PHASE_STOPPING:
        note(f"Its executor is asked to stop it; `fabric-jobs jobs watch {job_id}` follows it.")
    elif job.status != pb.JOB_INSTANCE_STATUS_CANCELLED:
        note("It had ended before.")


@click.command("retry")
@options.job_id
@click.option("--new-id", type=click.UUID, default=new_guid, help="By default a new id.")
@options.json
@options.grpc
def retry_command(job_id: str, new_id: str, json: bool, grpc: str) -> None:
    """Start an ended job's content again, as a new job, and print the new job's id."""
    job = options.ask(grpc, lambda api: _retry(api, str(job_id), str(new_id)))
    click.echo(as_json(job) if json else job.job_id)


async def _retry(api: StatusApi, job_id: str, new_id: str) -> pb.Job:
    try:
        return await api.retry(job_id, new_id)
    except UnavailableError as error:
        again = "The new job may start all the same; to ask again safely, add --new-id"
        raise UnavailableError(f"{error.message} {again} {new_id}.") from error
