"""`fabric-jobs submit`: asks for one job as Fabric would, and waits for it where asked to."""

from contextlib import suppress

import click
import httpx
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import Fabric, JobInstance, JobInstanceState
from fabric_jobs.cli.clients.status_api import StatusApi, StatusApiError
from fabric_jobs.cli.output.outcome import told
from fabric_jobs.cli.output.progress_bar import JobBar

POLL_S = 0.5
#: Seconds that a question about progress may take; the state doesn't wait for it.
PROGRESS_S = 1.0


async def submit(
    url: str,
    identity: httpx.Auth,
    job: JobInstance,
    payload: Raw | None,
    wait_with_grpc: str | None,
) -> int:
    """The exit code; with a gRPC address to read progress from, it waits for the job's end."""
    async with Fabric(url, identity) as fabric:
        await fabric.create(job, payload)
        click.echo(job.job_id)
        if wait_with_grpc is None:
            return 0
        state = await _wait(fabric, job, wait_with_grpc)
    error = state.error_details
    return told(state.status, f"{error.error_code}: {error.message}" if error else None)


async def _wait(fabric: Fabric, job: JobInstance, grpc: str) -> JobInstanceState:
    """The final state; until then a bar. Fabric's HTTP state has no word for progress."""
    async with StatusApi(grpc, PROGRESS_S) as api:
        with JobBar() as bar:
            async for state in fabric.states(job, POLL_S):
                bar.status(state.status)
                if bar.shown:
                    with suppress(StatusApiError):
                        bar.progress((await api.get(job.job_id)).job)
    return state
