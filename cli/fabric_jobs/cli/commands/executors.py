"""`fabric-jobs executors`: which executors are there, and what they have room for."""

from collections.abc import Sequence

import click
from rich.table import Table

from fabric_jobs.cli.commands.jobs import options
from fabric_jobs.cli.output.jobs import as_json, note, put, table_of, text
from fabric_jobs.cli.output.times import shown
from fabric_jobs.status.v1 import job_status_pb2 as pb


@click.group("executors")
def executors() -> None:
    """Look at the executors."""


@executors.command("list")
@options.json
@options.grpc
def list_command(json: bool, grpc: str) -> None:
    """Show the executors that were heard of within a lease."""
    found = options.ask(grpc, lambda api: api.executors())
    if json:
        for executor in found:
            click.echo(as_json(executor))
    elif found:
        put(_table(found))
    else:
        note("No executor was heard of: `python -m fabric_jobs.executor MODULE:EXECUTOR` runs one.")


def _table(found: Sequence[pb.Executor]) -> Table:
    table = table_of("EXECUTOR", "POOL", "FREE SLOTS", "HEARD OF", "JOB TYPES")
    for executor in found:
        kinds = [f"{kind.item_type} {kind.job_type}" for kind in executor.job_types]
        table.add_row(
            text(executor.executor_id),
            text(executor.pool),
            f"{executor.free_slots} of {executor.slots}",
            shown(executor.heartbeat_time),
            text(", ".join(kinds)),
        )
    return table
