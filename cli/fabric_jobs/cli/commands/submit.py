"""`fabric-jobs submit`: starts one job as Fabric would, and waits for its end on request."""

import sys
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import click
import httpx
import msgspec
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import Fabric, JobInstance, JobInstanceState, new_guid
from fabric_jobs.cli.clients.identity import LocalIdentity, TenantOnly
from fabric_jobs.cli.clients.status_api import StatusApi, StatusApiError
from fabric_jobs.cli.dev.defaults import HTTP_ADDRESS
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.options import authority_option, grpc_option, tenant_option
from fabric_jobs.cli.output.outcome import report_outcome
from fabric_jobs.cli.output.progress_bar import ProgressBar
from fabric_jobs.cli.run import INTERRUPTED, run
from fabric_jobs.contract.jobs import JobInstanceStatus

POLL_S = 0.5
#: Seconds that a call for the progress may take; the next poll of the status waits for the call.
PROGRESS_TIMEOUT_S = 1.0


@click.command("submit")
@click.argument("item_type")
@click.argument("job_type")
@click.option(
    "--payload",
    metavar="JSON|@FILE|-",
    help="The creation payload, a JSON object: as text, in a file, or on standard input.",
)
@click.option("--wait", is_flag=True, help="Wait for the job's end, and exit with its outcome.")
@click.option(
    "--http",
    metavar="URL",
    default=f"http://{HTTP_ADDRESS}/workload",
    envvar="FABRIC_JOBS_URL",
    show_default=True,
    show_envvar=True,
    help="The URL of the facade, with its base path.",
)
@grpc_option("The facade's gRPC address, from which --wait reads the progress.")
@authority_option("The URL of the local token issuer; empty if the facade's authentication is off.")
@tenant_option
@click.option("--workspace", type=click.UUID, default=new_guid, help="Default: a new id.")
@click.option("--item", type=click.UUID, default=new_guid, help="Default: a new id.")
@click.option("--job-id", type=click.UUID, default=new_guid, help="Default: a new id.")
def submit_command(
    item_type: str,
    job_type: str,
    payload: str | None,
    wait: bool,
    http: str,
    grpc: str,
    authority: str,
    tenant: UUID,
    workspace: UUID,
    item: UUID,
    job_id: UUID,
) -> None:
    """Start a job as Fabric would, and print its id.

    With --wait the last line is the job's final status, and the exit code states it too: 0
    Completed, 1 Failed, 3 Cancelled. Exit code 2 means that the job could not be started or
    followed.
    """
    job = JobInstance(
        item_type=item_type,
        job_type=job_type,
        workspace_id=str(workspace),
        item_id=str(item),
        job_id=str(job_id),
    )
    identity = LocalIdentity(authority, str(tenant)) if authority else TenantOnly(str(tenant))
    work = _submit(http, identity, job, _parse_payload(payload), grpc if wait else None)
    code = run(work)
    if code is None:
        click.echo(f"Stopped waiting. The job continues: {job.job_id}", err=True)
        code = INTERRUPTED
    sys.exit(code)


async def _submit(
    url: str,
    identity: httpx.Auth,
    job: JobInstance,
    payload: Raw | None,
    wait_with_grpc: str | None,
) -> int:
    """Returns the exit code. With a gRPC address, waits for the job's end first."""
    async with Fabric(url, identity) as fabric:
        await fabric.create(job, payload)
        click.echo(job.job_id)
        if wait_with_grpc is None:
            return 0
        state = await _wait(fabric, job, wait_with_grpc)
    error = state.error_details
    return report_outcome(state.status, f"{error.error_code}: {error.message}" if error else None)


async def _wait(fabric: Fabric, job: JobInstance, grpc: str) -> JobInstanceState:
    """Shows a progress bar until the job ends, and returns the final state.

    The progress comes from the gRPC API, because Fabric's HTTP state has no field for it. So does
    the hint why no executor can start the job.
    """
    async with StatusApi(grpc, PROGRESS_TIMEOUT_S) as api:
        with ProgressBar() as bar:
            # Most jobs start before the second poll, so the first one asks for no hint.
            asks_for_hint = is_first = True
            async for state in fabric.states(job, POLL_S):
                bar.set_status(state.status)
                if state.status is JobInstanceStatus.NOT_STARTED:
                    if asks_for_hint and not is_first:
                        asks_for_hint = await _show_hint(api, job, bar)
                    is_first = False
                elif bar.visible:
                    with suppress(StatusApiError):
                        bar.set_progress((await api.get(job.job_id)).job)
    return state


async def _show_hint(api: StatusApi, job: JobInstance, bar: ProgressBar) -> bool:
    """Shows why no executor can start the job. Returns whether to ask again later."""
    try:
        hint = (await api.get(job.job_id)).job.hint
    except StatusApiError:
        return False
    if hint:
        bar.note(hint)
    return not hint


def _parse_payload(payload: str | None) -> Raw | None:
    if payload is None:
        return None
    try:
        # Editors and shells of Windows put a byte order mark before a text. JSON allows none.
        encoded = _read_payload(payload).removeprefix(BOM_UTF8)
        content = msgspec.json.decode(encoded)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"--payload is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise InputError('--payload must be a JSON object, such as \'{"priority": "high"}\'.')
    # The text is sent as it was written, so that no number loses digits.
    return Raw(encoded)


def _read_payload(payload: str) -> bytes:
    """Returns the text, the content of `@FILE`, or standard input for `-`."""
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode()
    try:
        return Path(payload[1:]).read_bytes()
    except OSError as error:
        raise InputError(f"{payload[1:]} can't be read: {error.strerror}.") from error
