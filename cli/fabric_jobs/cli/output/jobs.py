"""Jobs for people, as tables and lines, and for scripts, as a line of JSON each."""

from collections.abc import Iterator, Sequence

import click
import msgspec
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from msgspec import Raw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fabric_jobs.cli.errors import one_line
from fabric_jobs.cli.output.times import shown
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.contract.wire import PHASE_NAMES, STATUS_NAMES
from fabric_jobs.status.v1 import job_status_pb2 as pb

STYLES = {
    JobInstanceStatus.NOT_STARTED: "",
    JobInstanceStatus.IN_PROGRESS: "cyan",
    JobInstanceStatus.COMPLETED: "green",
    JobInstanceStatus.FAILED: "red",
    JobInstanceStatus.CANCELLED: "yellow",
}
#: Columns that no table needs.
_WIDE = 1_000_000
#: Characters of an error's or a run's text that fit beside other columns.
_MOST = 80
#: Characters of a payload that people are shown.
MAX_PAYLOAD = 1000


def as_json(message: Message) -> str:
    """The message in a line of protobuf's JSON: what is empty is there, what is absent is not."""
    json = MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)
    return msgspec.json.format(json, indent=-1)


def got_json(got: pb.GetJobResponse) -> str:
    """The job as in every other line, and its payload as it was sent."""
    job = msgspec.json.decode(as_json(got.job), type=dict[str, Raw])
    job["payload"] = Raw(msgspec.json.format(got.payload, indent=-1))
    return msgspec.json.encode(job).decode()


def put(table: Table) -> None:
    """The table on stdout. Only its last column is folded to the terminal; nothing is cut."""
    wide = Console(width=_WIDE)
    size = wide.measure(table)
    fits = max(Console().width, size.minimum) if wide.is_terminal else size.maximum
    console = Console(width=min(fits, size.maximum), highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def table_of(*columns: str) -> Table:
    """An empty table whose last column may be folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold", min_width=20)
    return table


def list_table(jobs: Sequence[pb.Job]) -> Table:
    """A row a job."""
    table = table_of("JOB", "STATUS", "JOB TYPE", "CREATED", "DETAIL")
    for job in jobs:
        table.add_row(
            job.job_id, status(job), text(job.job_type), shown(job.create_time), text(detail(job))
        )
    return table


def job_table(got: pb.GetJobResponse) -> Table:
    """A row for each thing that is known of the job."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold", min_width=36)
    for name, value in _facts(got):
        table.add_row(name, value if isinstance(value, Text) else text(value))
    return table


def status(job: pb.Job) -> Text:
    """Fabric's word, in its colour."""
    name = STATUS_NAMES[job.status]
    return Text(name, style=STYLES[name])


def detail(job: pb.Job) -> str:
    """What is to be said of the job beside its status, in a few words."""
    words = []
    if job.attempt > 1:
        words.append(f"attempt {job.attempt}")
    match PHASE_NAMES[job.phase]:
        case JobPhase.STOPPING:
            words.append("stopping")
        case JobPhase.WAITING:
            words.append(f"next at {shown(job.due_time)}")
        case JobPhase.RUNNING if job.HasField("progress"):
            words.append(progress(job.progress))
    if job.exhausted:
        words.append("exhausted")
    if job.phase == pb.JOB_PHASE_WAITING or job.status == pb.JOB_INSTANCE_STATUS_FAILED:
        words.append(cut(f"{job.error.error_code}: {job.error.message}"))
    return ", ".join(words)


def progress(said: pb.Progress) -> str:
    """A per cent and a text."""
    return cut(f"{said.fraction:.0%} {said.message}")


def kind(event_type: str) -> str:
    """The last part of an event's CloudEvents type."""
    return event_type.removeprefix("fabric.jobs.")


def cut(words: str) -> str:
    """The text's beginning, in a line."""
    line = one_line(words)
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def text(words: str) -> Text:
    """The text as it is: no markup of ours, and nothing that a terminal would obey."""
    return Text(one_line(words))


def note(words: str) -> None:
    """What a person may do next; on stderr, where it is in no script's way."""
    click.echo(words, err=True)


def _facts(got: pb.GetJobResponse) -> Iterator[tuple[str, str | Text]]:
    job = got.job
    yield "job", job.job_id
    yield "status", status(job)
    yield "phase", PHASE_NAMES[job.phase]
    failures = f", {job.failures} failed" if job.failures else ""
    yield "attempt", f"{job.attempt}{failures}{', exhausted' if job.exhausted else ''}"
    yield "tenant", job.tenant_id
    yield "workspace", job.workspace_id
    yield "item type", job.item_type
    yield "item", job.item_id
    yield "job type", job.job_type
    yield "invoked", job.invoke_type
    for name, value in (
        ("executor", job.executor_id),
        ("activity id", job.activity_id),
        ("request id", job.request_id),
    ):
        if value:
            yield name, value
    times = {"created": "create", "started": "start", "due": "due", "ended": "end"}
    for name, field in times.items():
        if job.HasField(f"{field}_time"):
            yield name, shown(getattr(job, f"{field}_time"))
    if job.HasField("progress"):
        yield "progress", progress(job.progress)
    if job.HasField("error"):
        error = job.error
        permanent = ", permanent" if error.permanent else ""
        yield "error", f"{error.error_code}: {error.message} ({error.source}{permanent})"
        for one in error.details:
            of = ", ".join(f"{name} {value}" for name, value in one.additional_parameters.items())
            yield "earlier", f"{one.error_code}: {one.message}{f' ({of})' if of else ''}"
    yield "events", f"{job.sequence}, in partition {got.position.partition}"
    payload = got.payload.decode()
    rest = "… `--json` shows all of it." if len(payload) > MAX_PAYLOAD else ""
    yield "payload", f"{payload[:MAX_PAYLOAD]}{rest}"
