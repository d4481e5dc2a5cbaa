"""`fabric-jobs jobs watch`: shows each event as it is applied, or follows one job to its end."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

import click
from rich.console import Console
from rich.text import Text

from fabric_jobs.cli.clients.limits import MAX_OUTAGE_S
from fabric_jobs.cli.clients.status_api import StatusApi, UnavailableError
from fabric_jobs.cli.options import status_api_options
from fabric_jobs.cli.output.jobs import detail, event_name, status_text
from fabric_jobs.cli.output.json_lines import message_json
from fabric_jobs.cli.output.outcome import EXIT_CODES, report_outcome
from fabric_jobs.cli.output.progress_bar import ProgressBar
from fabric_jobs.cli.output.tables import plain_text, print_note
from fabric_jobs.cli.output.times import format_time
from fabric_jobs.cli.run import run_or_exit
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds between two tries to watch a facade that is away.
_RETRY_S = 0.5
#: Characters of the columns for an event's name and a job's status.
_EVENT_WIDTH = 18
_STATUS_WIDTH = 13


@click.command("watch")
@click.argument("job_id", type=click.UUID, required=False)
@status_api_options
def watch_command(job_id: UUID | None, json: bool, grpc: str) -> None:
    """Show each event as it happens. With a job's id, follow the job to its end.

    The last line on stdout is then the job's final status, and the exit code states it too: 0
    Completed, 1 Failed, 3 Cancelled. Exit code 2 means that the job could not be followed.
    """
    if job_id:
        sys.exit(run_or_exit(_watch_job(grpc, str(job_id), json=json)))
    run_or_exit(_watch_all(grpc, json=json))


async def _watch_all(address: str, *, json: bool) -> None:
    """Prints a line for each event that the facade applies. Ends only by `StatusApiError`."""
    console = Console(highlight=False)
    async with StatusApi(address) as api, aclosing(api.watch()) as events:
        async for event in events:
            if not event.event_id:
                print_note("Watching for events. Press Ctrl-C to stop.")
            elif json:
                click.echo(message_json(event))
            else:
                console.print(_event_line(event), soft_wrap=True)


async def _watch_job(address: str, job_id: str, *, json: bool) -> int:
    """Shows a progress bar, or a line of JSON for each change. Returns the exit code."""
    async with StatusApi(address) as api, aclosing(_follow(api, job_id)) as changes:
        with ProgressBar() as bar:
            hint = ""
            async for job in changes:
                if job.hint not in ("", hint):
                    bar.note(hint := job.hint)
                bar.set_status(STATUS_NAMES[job.status])
                bar.set_progress(job)
                if json:
                    click.echo(message_json(job))
    status = STATUS_NAMES[job.status]
    if json:
        return EXIT_CODES[status]
    failed = status is JobInstanceStatus.FAILED
    error = f"{job.error.error_code}: {job.error.message}" if failed else None
    code = report_outcome(status, error)
    if job.exhausted:
        print_note(
            "All attempts of the job failed. "
            f"Start it again with `fabric-jobs jobs retry {job_id}`."
        )
    return code


async def _follow(api: StatusApi, job_id: str) -> AsyncGenerator[pb.Job, None]:
    """Yields the job now and after each of its events, up to its end.

    Raises `StatusApiError` if the facade refuses, or is away for `MAX_OUTAGE_S`.
    """
    sequence, answered, away_since = 0, False, 0.0
    while True:
        try:
            async with aclosing(api.watch(job_id)) as events:
                async for event in events:
                    # The job is read after the watch has begun, so that no event is missed.
                    job = event.job if event.event_id else (await api.get(job_id)).job
                    answered, away_since = True, 0.0
                    if job.sequence > sequence:
                        sequence = job.sequence
                        yield job
                    if job.phase == pb.JOB_PHASE_ENDED:
                        return
        except UnavailableError:
            now = time.monotonic()
            away_since = away_since or now
            if not answered or now - away_since > MAX_OUTAGE_S:
                raise
        await asyncio.sleep(_RETRY_S)


def _event_line(event: pb.WatchJobsResponse) -> Text:
    job = event.job
    name = event_name(event.event_type)
    line = Text(f"{format_time(event.event_time)}  {job.job_id}  ")
    line.append_text(plain_text(name)).append(" " * (_EVENT_WIDTH - len(name)))
    line.append_text(status_text(job))
    if words := detail(job):
        padding = " " * (_STATUS_WIDTH - len(STATUS_NAMES[job.status]))
        line.append(padding).append_text(plain_text(words))
    return line
