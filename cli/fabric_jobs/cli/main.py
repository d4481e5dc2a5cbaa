"""The command line: options in, an exit code out."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from fabric_jobs.cli.clients.fabric import JobInstance, new_guid
from fabric_jobs.cli.clients.identity import (
    DEVELOPMENT_TENANT,
    LocalIdentity,
    TenantOnly,
    fetch_headers,
)
from fabric_jobs.cli.commands.executors import executors
from fabric_jobs.cli.commands.jobs import jobs
from fabric_jobs.cli.commands.new import module_of, new
from fabric_jobs.cli.commands.submit import submit
from fabric_jobs.cli.dev.demo import demo
from fabric_jobs.cli.dev.issuer import DEFAULT_ADDRESS, Issuer
from fabric_jobs.cli.dev.run import EXAMPLE, HTTP_ADDRESS, dev
from fabric_jobs.cli.errors import CommandError, InputError
from fabric_jobs.cli.options import INTERRUPTED, Address, grpc_option, run
from fabric_jobs.runtime.settings import host_port

F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fabric-jobs", prog_name="fabric-jobs")
def main() -> None:
    """The job service behind a Microsoft Fabric workload: run it here, and look at its jobs."""


main.add_command(jobs)
main.add_command(executors)


@main.command("dev")
@click.argument("target", metavar="[MODULE:EXECUTOR]", default=EXAMPLE)
@click.option(
    "--http",
    type=Address(),
    default=HTTP_ADDRESS,
    envvar="FABRIC_JOBS_HTTP_ADDRESS",
    show_default=True,
    help="Where Fabric's calls are taken; port 0 is any free one.",
)
@grpc_option("Where internal services and executors call.")
@click.option(
    "--issuer",
    type=Address(),
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Where the local issuer of Fabric's tokens answers.",
)
def dev_command(target: str, http: str, grpc: str, issuer: str) -> None:
    """Run broker, facade and an executor until Ctrl-C.

    MODULE:EXECUTOR names your handlers, such as jobs:executor for `executor` in jobs.py; without
    it, the examples run. FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka to use in place
    of the embedded broker.
    """
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", target):
        raise InputError(f"{target!r} is not MODULE:EXECUTOR, such as {EXAMPLE}.")
    try:
        authority = Issuer(*host_port(issuer))
    except OSError as error:
        raise CommandError(f"The local issuer can't have {issuer}: {error}.") from error
    with authority:
        run(dev(os.environ, target, http, grpc, authority))


@main.command("new")
@click.argument("name")
def new_command(name: str) -> None:
    """Make a project of your own: a handler, its tests, and what runs it.

    NAME is that of its folder, which is made here, such as my-workload.
    """
    folder = new(name)
    click.echo(folder)
    click.echo(
        f"Made. Next:\n  cd {folder}\n  pytest\n  fabric-jobs dev {module_of(name)}:executor",
        err=True,
    )


def _authority(help_text: str) -> Callable[[F], F]:
    return click.option(
        "--authority",
        metavar="URL",
        default=f"http://{DEFAULT_ADDRESS}",
        envvar="FABRIC_JOBS_AUTHORITY",
        show_default=True,
        help=help_text,
    )


_tenant = click.option("--tenant", type=click.UUID, default=DEVELOPMENT_TENANT, show_default=True)


@main.command("submit")
@click.argument("item_type")
@click.argument("job_type")
@click.option("--payload", metavar="JSON", help="The creation payload, an object.")
@click.option("--wait", is_flag=True, help="Wait for the job's end, and exit by its outcome.")
@click.option(
    "--http",
    metavar="URL",
    default=f"http://{HTTP_ADDRESS}/workload",
    envvar="FABRIC_JOBS_URL",
    show_default=True,
    show_envvar=True,
    help="The facade, with its base path.",
)
@grpc_option("The facade's gRPC address, which progress is read from.")
@_authority("The local issuer; empty for a facade that has authentication off.")
@_tenant
@click.option("--workspace", type=click.UUID, default=new_guid, help="By default a new id.")
@click.option("--item", type=click.UUID, default=new_guid, help="By default a new id.")
@click.option("--job-id", type=click.UUID, default=new_guid, help="By default a new id.")
def submit_command(
    item_type: str,
    job_type: str,
    payload: str | None,
    wait: bool,
    http: str,
    grpc: str,
    authority: str,
    tenant: str,
    workspace: str,
    item: str,
    job_id: str,
) -> None:
    """Ask for a job as Fabric would, and print its id.

    With --wait the last line is its final status, and the exit code says the same: 0 Completed,
    1 Failed, 3 Cancelled; 2 where the job could not be asked for or followed.
    """
    job = JobInstance(
        item_type=item_type,
        job_type=job_type,
        workspace_id=str(workspace),
        item_id=str(item),
        job_id=str(job_id),
    )
    identity = LocalIdentity(authority, str(tenant)) if authority else TenantOnly(str(tenant))
    work = submit(http, identity, job, _object(payload), grpc if wait else None)
    code = run(work)
    if code is None:
        click.echo(f"No longer waiting; the job goes on: {job.job_id}", err=True)
        code = INTERRUPTED
    sys.exit(code)


@main.command("token")
@_authority("The local issuer.")
@_tenant
@click.option("--version", type=click.Choice(["1.0", "2.0"]), default="2.0", show_default=True)
@click.option("--no-subject", is_flag=True, help="Fabric alone, as for a scheduled job.")
def token_command(authority: str, tenant: str, version: str, no_subject: bool) -> None:
    """Print the headers that Fabric would send, for `curl -H @-`."""
    subject = "no" if no_subject else "yes"
    asking = fetch_headers(authority, tenant=str(tenant), version=version, subject=subject)
    headers = run(asking)
    for name, value in (headers or {}).items():
        click.echo(f"{name}: {value}")


@main.command("demo")
def demo_command() -> None:
    """Show one job from NotStarted to Completed, through every real part.

    FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS names an Apache Kafka to use in place of the embedded
    broker.
    """

    if run(demo(os.environ)) is None:
        raise CommandError("Stopped before the job was seen Completed.")


@main.command("check")
@click.option("--create", is_flag=True, help="Make the topics that are missing.")
def check_command(create: bool) -> None:
    """Try what a facade needs, before it takes traffic.

    The environment sets it, as it does the facade's: settings, the folder of its state, the
    authority's keys, Kafka, its topics and its clock. A line for each says ok, warning or failed,
    and what to do; the exit code is 1 where anything failed.
    """
    options = ["--create"] if create else []
    sys.exit(subprocess.call([sys.executable, "-m", "fabric_jobs.facade", "check", *options]))


def _object(payload: str | None) -> msgspec.Raw | None:
    if payload is None:
        return None
    try:
        content = msgspec.json.decode(payload)
        encoded = payload.encode()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"--payload is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise InputError('--payload must be a JSON object, such as \'{"priority": "high"}\'.')
    # As it was written: a number that Python can't hold goes through unchanged.
    return msgspec.Raw(encoded)
