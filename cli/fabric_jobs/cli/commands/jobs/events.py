"""`fabric-jobs jobs events`: a job's events, as they stand on the topic."""

import os
from collections.abc import Sequence

import click
import msgspec
from msgspec import Raw
from rich.table import Table
from rich.text import Text

from fabric_jobs.cli.clients.events import logged_events
from fabric_jobs.cli.commands.jobs import options
from fabric_jobs.cli.dev.stack import KAFKA_VARIABLE
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.output.jobs import STYLES, cut, kind, put, table_of, text
from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event, type_of
from fabric_jobs.contract.jobs import ErrorResponse
from fabric_jobs.runtime.kafka.history import Logged
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError, from_env
from fabric_jobs.runtime.times import to_seconds


@click.command("events")
@options.job_id
@click.option("--all", "lost_too", is_flag=True, help="Also what did not count.")
@click.option(
    "--kafka",
    metavar="HOST:PORT",
    default=KafkaSettings().kafka_bootstrap_servers,
    envvar=KAFKA_VARIABLE,
    show_default=True,
    show_envvar=True,
    help="The Kafka that the facade uses.",
)
@options.json
@options.grpc
def events_command(job_id: str, lost_too: bool, kafka: str, json: bool, grpc: str) -> None:
    """Show the events of a job, as they stand on the topic."""
    try:
        settings = from_env(KafkaSettings, {**os.environ, KAFKA_VARIABLE: kafka})
    except SettingsError as error:
        raise InputError(str(error)) from error
    logged = options.done(logged_events(grpc, settings, str(job_id), lost_too=lost_too))
    if json:
        for one in logged:
            click.echo(event_json(one))
    else:
        put(events_table(logged))


def events_table(logged: Sequence[Logged]) -> Table:
    """A row an event, in the order of the topic."""
    table = table_of("#", "TIME", "EVENT", "STATUS", "DETAIL")
    for one in logged:
        data = one.event.data
        table.add_row(
            str(data.sequence),
            to_seconds(one.event.time),
            text(kind(type_of(one.event))),
            Text(data.state.status, style=STYLES[data.state.status]),
            text(_detail(one.event) if one.applied else "lost: a duplicate, or too late"),
            style="" if one.applied else "dim",
        )
    return table


def event_json(logged: Logged) -> str:
    """Where the event stands, whether it applied, and the event as the topic has it."""
    record = logged.record
    line = {
        "partition": record.partition,
        "offset": record.offset,
        "applied": logged.applied,
        "event": Raw(msgspec.json.format(record.value, indent=-1)),
    }
    return msgspec.json.encode(line).decode()


def _detail(event: Event) -> str:
    state = event.data.state
    match event:
        case events.Started():
            return f"attempt {state.attempt} by {state.executor_id}"
        case events.Progressed() if state.progress:
            return cut(f"{state.progress.fraction:.0%} {state.progress.message}")
        case events.AttemptFailed() if state.due_time:
            return f"{_error(event.data.error)} Next at {to_seconds(state.due_time)}"
        case events.Requeued():
            return f"attempt {state.attempt}, {event.data.reason}"
        case events.Failed() if state.error:
            return f"{'exhausted, ' if state.exhausted else ''}{_error(state.error)}"
    return ""


def _error(error: ErrorResponse) -> str:
    return cut(f"{error.error_code}: {error.message}")
