"""Executors for people: a table."""

from collections.abc import Sequence

from rich.table import Table

from fabric_jobs.cli.output.tables import new_table, plain_text
from fabric_jobs.cli.output.times import format_time
from fabric_jobs.status.v1 import job_status_pb2 as pb


def executors_table(executors: Sequence[pb.Executor]) -> Table:
    """Returns a table with a row for each executor."""
    table = new_table("EXECUTOR", "POOL", "FREE SLOTS", "LAST HEARTBEAT", "JOB TYPES")
    for executor in executors:
        job_types = [f"{handled.item_type} {handled.job_type}" for handled in executor.job_types]
        table.add_row(
            plain_text(executor.executor_id),
            plain_text(executor.pool),
            _slots_text(executor),
            format_time(executor.heartbeat_time),
            plain_text(", ".join(job_types)),
        )
    return table


def _slots_text(executor: pb.Executor) -> str:
    text = f"{executor.free_slots} of {executor.slots}"
    return f"{text}, {executor.hung_slots} hung" if executor.hung_slots else text
