"""Jobs for people: tables, and what a line says of a job."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from fabric_jobs.cli.output.tables import new_table, plain_text, shorten
from fabric_jobs.cli.output.times import format_time
from fabric_jobs.contract.failures import EARLIER_ATTEMPT
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
#: Characters of a payload in a table.
MAX_PAYLOAD_CHARS = 1000


def jobs_table(jobs: Sequence[pb.Job]) -> Table:
    """Returns a table with a row for each job."""
    table = new_table("JOB", "STATUS", "JOB TYPE", "CREATED", "DETAIL")
    for job in jobs:
        table.add_row(
            job.job_id,
            status_text(job),
            plain_text(job.job_type),
            format_time(job.create_time),
            plain_text(detail(job)),
        )
    return table


def job_table(got: pb.GetJobResponse) -> Table:
    """Returns a table with a row for each known property of the job."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold", min_width=36)
    for name, value in _properties(got):
        table.add_row(name, value if isinstance(value, Text) else plain_text(value))
    return table


def status_text(job: pb.Job) -> Text:
    """Returns Fabric's name of the job's status, in colour."""
    name = STATUS_NAMES[job.status]
    return Text(name, style=STYLES[name])


def detail(job: pb.Job) -> str:
    """Returns the job's attempt, phase, progress and error in a few words, where they matter."""
    words = []
    if job.attempt > 1:
        words.append(f"attempt {job.attempt}")
    match PHASE_NAMES[job.phase]:
        case JobPhase.STOPPING:
            words.append("stopping")
        case JobPhase.WAITING:
            words.append(f"next at {format_time(job.due_time)}")
        case JobPhase.RUNNING if job.HasField("progress"):
            words.append(progress_line(job.progress.fraction, job.progress.message))
    if job.exhausted and not job.replaced_by:
        words.append("exhausted")
    if job.replaced_by:
        words.append(f"replaced by {job.replaced_by}")
    if job.phase == pb.JOB_PHASE_WAITING or job.status == pb.JOB_INSTANCE_STATUS_FAILED:
        words.append(shorten(f"{job.error.error_code}: {job.error.message}"))
    if job.hint:
        words.append(job.hint)
    return ", ".join(words)


def progress_line(fraction: float, message: str) -> str:
    """Returns the progress in per cent and its message, on one line."""
    return shorten(f"{fraction:.0%} {message}")


def event_name(event_type: str) -> str:
    """Returns the last part of a CloudEvents type, such as `started`."""
    return event_type.removeprefix("fabric.jobs.")


def _properties(got: pb.GetJobResponse) -> Iterator[tuple[str, str | Text]]:
    job = got.job
    yield "job", job.job_id
    yield "status", status_text(job)
    yield "phase", PHASE_NAMES[job.phase]
    if job.hint:
        yield "waits", job.hint
    failures = f", {job.failures} failed" if job.failures else ""
    yield "attempt", f"{job.attempt}{failures}{', exhausted' if job.exhausted else ''}"
    yield "tenant", job.tenant_id
    yield "workspace", job.workspace_id
    yield "item type", job.item_type
    yield "item", job.item_id
    yield "job type", job.job_type
    yield "invoked", job.invoke_type
    for name, value in (
        ("replaced by", job.replaced_by),
        ("executor", job.executor_id),
        ("activity id", job.activity_id),
        ("request id", job.request_id),
    ):
        if value:
            yield name, value
    times = {"created": "create", "started": "start", "due": "due", "ended": "end"}
    for name, field in times.items():
        if job.HasField(f"{field}_time"):
            yield name, format_time(getattr(job, f"{field}_time"))
    if job.HasField("progress"):
        yield "progress", progress_line(job.progress.fraction, job.progress.message)
    if got.checkpoint:
        yield "checkpoint", f"{len(got.checkpoint)} bytes"
    if job.HasField("error"):
        yield from _errors(job.error)
    for number, line in enumerate(got.log_tail.splitlines()):
        yield "" if number else "last log", line
    yield "events", f"{job.sequence}, in partition {got.position.partition}"
    if job.sealed_key_id:
        yield "sealed", f"with the key {job.sealed_key_id}, which this facade does not have"
    payload = got.payload.decode()
    rest = "… `--json` shows all of it." if len(payload) > MAX_PAYLOAD_CHARS else ""
    yield "payload", f"{payload[:MAX_PAYLOAD_CHARS]}{rest}"


def _errors(error: pb.Error) -> Iterator[tuple[str, str]]:
    permanent = ", permanent" if error.permanent else ""
    yield "error", f"{error.error_code}: {error.message} ({error.source}{permanent})"
    for detail in error.details:
        parameters = ", ".join(
            f"{name} {value}" for name, value in detail.additional_parameters.items()
        )
        suffix = f" ({parameters})" if parameters else ""
        # Other details are of the same attempt, such as the errors of its other tasks.
        label = "earlier" if EARLIER_ATTEMPT in detail.additional_parameters else "detail"
        yield label, f"{detail.error_code}: {detail.message}{suffix}"
