"""Job types for people: a table."""

from collections.abc import Sequence

from rich.table import Table

from fabric_jobs.cli.output.tables import new_table, plain_text
from fabric_jobs.cli.output.times import format_time
from fabric_jobs.status.v1 import job_status_pb2 as pb


def job_types_table(job_types: Sequence[pb.JobTypeState]) -> Table:
    """Returns a table with a row for each job type."""
    table = new_table("ITEM TYPE", "JOB TYPE", "EXECUTORS", "NOT STARTED", "IN PROGRESS", "PAUSED")
    for one in job_types:
        table.add_row(
            plain_text(one.item_type),
            plain_text(one.job_type),
            str(one.executors),
            str(one.not_started),
            str(one.in_progress),
            plain_text(_pause(one)),
        )
    return table


def _pause(job_type: pb.JobTypeState) -> str:
    if not job_type.HasField("pause"):
        return ""
    pause = job_type.pause
    by = f" by {pause.by}" if pause.by else ""
    first = ""
    if job_type.HasField("start_deadline"):
        first = f" (the oldest job that waits fails at {format_time(job_type.start_deadline)})"
    return f"since {format_time(pause.time)}{by}: {pause.reason}{first}"
