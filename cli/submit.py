"""`fabric-jobs submit`: asks for one job as Fabric would, and waits for it where asked to."""

import click
import httpx
from msgspec import Raw
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from cli.errors import one_line
from cli.fabric import Fabric, JobInstance, JobInstanceState
from cli.progress import ProgressReader
from fabric_jobs.jobs import JobInstanceStatus

POLL_S = 0.5
EXIT_CODES = {
    JobInstanceStatus.COMPLETED: 0,
    JobInstanceStatus.FAILED: 1,
    JobInstanceStatus.CANCELLED: 3,
}


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
    if error := state.error_details:
        click.echo(one_line(f"{error.error_code}: {error.message}"), err=True)
    click.echo(state.status)
    return EXIT_CODES[state.status]


async def _wait(fabric: Fabric, job: JobInstance, grpc: str) -> JobInstanceState:
    """The final state; until then a bar on the terminal, if stderr is one."""
    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    async with ProgressReader(grpc) as reader:
        with bar:
            shown = bar.add_task("", total=None, message="")
            async for state in fabric.states(job, POLL_S):
                bar.update(shown, description=state.status)
                if console.is_terminal and (progress := await reader.read(job.job_id)):
                    message = one_line(progress.message)
                    bar.update(shown, total=1, completed=progress.fraction, message=message)
    return state
