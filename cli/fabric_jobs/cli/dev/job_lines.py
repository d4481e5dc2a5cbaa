"""Prints a line when a job starts, is retried and ends."""

from contextlib import aclosing
from datetime import datetime, timedelta

import click

from fabric_jobs.cli.clients.status_api import StatusApi, StatusApiError
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.runtime.text import escape
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: The characters of a job's id that a line shows.
_SHORT_ID_CHARS = 8


async def print_job_lines(address: str) -> None:
    """Prints the lines of the facade at this gRPC address, until it stops or refuses the watch."""
    try:
        async with StatusApi(address) as api, aclosing(api.watch()) as events:
            async for event in events:
                if text := describe_event(event):
                    click.echo(text, err=True)
    except StatusApiError:
        return  # the facade has stopped, or its gRPC needs a certificate


def describe_event(event: pb.WatchJobsResponse) -> str | None:
    """Returns the line about an applied event; None for an event that needs no line."""
    job = event.job
    match event.event_type.rpartition(".")[2]:
        case "started" if job.attempt == 1:
            text = "started"
        case "started":
            text = f"started again, attempt {job.attempt}"
        case "attempt-failed":
            error = f"{job.error.error_code}: {job.error.message}"
            wait = job.due_time.ToDatetime() - event.event_time.ToDatetime()
            text = f"attempt {job.attempt} failed, the next starts in {_seconds(wait)}: {error}"
        case "completed" | "failed" | "cancelled":
            text = STATUS_NAMES[job.status] + _describe_run(job)
        case _:
            return None
    now = datetime.now().astimezone()
    return escape(f"{now:%H:%M:%S} {job.job_type} {job.job_id[:_SHORT_ID_CHARS]} {text}")


def _describe_run(job: pb.Job) -> str:
    if not job.HasField("start_time"):
        return " before it started"
    took = job.end_time.ToDatetime() - job.start_time.ToDatetime()
    error = f": {job.error.error_code}: {job.error.message}" if job.HasField("error") else ""
    return f" after {_seconds(took)}{error}"


def _seconds(time: timedelta) -> str:
    return f"{max(time.total_seconds(), 0):.1f} s"
