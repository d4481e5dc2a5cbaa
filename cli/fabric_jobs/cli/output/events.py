"""Events of a job for people: a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from fabric_jobs.cli.output.jobs import STYLES, event_name, progress_line
from fabric_jobs.cli.output.tables import new_table, plain_text, shorten
from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.events import Event, type_of
from fabric_jobs.runtime.kafka.history import HistoryEvent
from fabric_jobs.runtime.times import format_time

#: What stands for a sealed text. Only facades can open it: `fabric-jobs jobs get` asks one.
SEALED = "(sealed)"


def events_table(logged: Sequence[HistoryEvent]) -> Table:
    """Returns a table with a row for each event, in the order of the topic."""
    table = new_table("#", "TIME", "EVENT", "STATUS", "DETAIL")
    for one in logged:
        data = one.event.data
        table.add_row(
            str(data.sequence),
            format_time(one.event.time),
            plain_text(event_name(type_of(one.event))),
            Text(data.state.status, style=STYLES[data.state.status]),
            plain_text(_detail(one.event) if one.applied else "ignored: a duplicate, or too late"),
            style="" if one.applied else "dim",
        )
    return table


def _detail(event: Event) -> str:
    state = event.data.state
    match event:
        case events.Started():
            return f"attempt {state.attempt} by {state.executor_id}"
        case events.Progressed() if state.progress:
            message = SEALED if state.progress.sealed else state.progress.message
            return progress_line(state.progress.fraction, message)
        case events.Checkpointed() if event.data.sealed_checkpoint:
            return SEALED
        case events.Checkpointed():
            return f"{len(bytes(event.data.checkpoint))} bytes"
        case events.AttemptFailed() if state.due_time:
            return f"{_error_line(event.data.error)} Next at {format_time(state.due_time)}"
        case events.Requeued():
            return f"attempt {state.attempt}, {event.data.reason}"
        case events.Failed() if state.error:
            return f"{'exhausted, ' if state.exhausted else ''}{_error_line(state.error)}"
    return ""


def _error_line(error: ErrorResponse) -> str:
    return shorten(f"{error.error_code}: {SEALED if error.sealed else error.message}")
