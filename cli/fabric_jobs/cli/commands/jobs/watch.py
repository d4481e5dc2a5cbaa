"""`fabric-jobs jobs watch`: every event as it is applied, or one job up to its end."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import click
from rich.console import Console
from rich.text import Text

from fabric_jobs.cli.clients.status_api import StatusApi, UnavailableError
from fabric_jobs.cli.commands.jobs import options
from fabric_jobs.cli.output.jobs import as_json, detail, kind, note, status, text
from fabric_jobs.cli.output.outcome import EXIT_CODES, told
from fabric_jobs.cli.output.progress_bar import JobBar
from fabric_jobs.cli.output.times import shown
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds that following a job outlasts a facade that doesn't answer, as while it is started anew.
PATIENCE_S = 30.0
_AGAIN_S = 0.5


@click.command("watch")
@click.argument("job_id", type=click.UUID, required=False)
@options.json
@options.grpc
def watch_command(job_id: str | None, json: bool, grpc: str) -> None:
    """Show each event as it happens; with a job's id, follow that job to its end.

    Then its final status is on stdout, and the exit code says the same: 0 Completed, 1 Failed,
    3 Cancelled; 2 where it could not be followed.
    """
    if job_id:
        sys.exit(options.done(watch_one(grpc, str(job_id), json=json)))
    options.done(watch_all(grpc, json=json))


async def watch_all(address: str, *, json: bool) -> None:
    """A line for each event that the facade applies; ends only by `StatusApiError`."""
    console = Console(highlight=False)
    async with StatusApi(address) as api, aclosing(api.watch()) as applied:
        async for event in applied:
            if not event.event_id:
                note("Watching; Ctrl-C ends it.")
            elif json:
                click.echo(as_json(event))
            else:
                console.print(_line(event), soft_wrap=True)


async def watch_one(address: str, job_id: str, *, json: bool) -> int:
    """The exit code by the job's end; until then a bar, or a line of JSON for each change."""
    async with StatusApi(address) as api, aclosing(follow(api, job_id)) as changes:
        with JobBar() as bar:
            async for job in changes:
                bar.status(STATUS_NAMES[job.status])
                bar.progress(job)
                if json:
                    click.echo(as_json(job))
    name = STATUS_NAMES[job.status]
    if json:
        return EXIT_CODES[name]
    failed = name is JobInstanceStatus.FAILED
    code = told(name, f"{job.error.error_code}: {job.error.message}" if failed else None)
    if job.exhausted:
        note(f"Its attempts are used up; `fabric-jobs jobs retry {job_id}` starts it once more.")
    return code


async def follow(api: StatusApi, job_id: str) -> AsyncGenerator[pb.Job, None]:
    """The job now and after each of its events, up to its end. Raises `StatusApiError`."""
    sequence, answered, lost_at = 0, False, 0.0
    while True:
        try:
            async with aclosing(api.watch(job_id)) as applied:
                async for event in applied:
                    # Read once the watch has begun: no event is missed between the two.
                    job = event.job if event.event_id else (await api.get(job_id)).job
                    answered, lost_at = True, 0.0
                    if job.sequence > sequence:
                        sequence = job.sequence
                        yield job
                    if job.phase == pb.JOB_PHASE_ENDED:
                        return
        except UnavailableError:
            now = time.monotonic()
            lost_at = lost_at or now
            if not answered or now - lost_at > PATIENCE_S:
                raise
        await asyncio.sleep(_AGAIN_S)


def _line(event: pb.WatchJobsResponse) -> Text:
    job = event.job
    what = kind(event.event_type)
    line = Text(f"{shown(event.event_time)}  {job.job_id}  ")
    line.append_text(text(what)).append(" " * (18 - len(what)))
    line.append_text(status(job))
    if words := detail(job):
        line.append(" " * (13 - len(STATUS_NAMES[job.status]))).append_text(text(words))
    return line
