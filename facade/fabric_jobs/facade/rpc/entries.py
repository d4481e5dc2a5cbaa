"""Decides one entry of a session, which is a claim or a report, and builds its answer."""

from collections.abc import Collection

from opentelemetry.trace import SpanKind

from fabric_jobs.contract.checkpoints import verify_checkpoint
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.wire import (
    error_from_proto,
    policy_from_proto,
    progress_from_proto,
    time_from_proto,
)
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    HandBack,
    Reason,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    SaveCheckpoint,
)
from fabric_jobs.facade.rpc.bounds import parse_attempt
from fabric_jobs.facade.sealing import Content, has_sealed_content
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb

_REASONS = {
    Reason.FINAL: pb.REFUSAL_REASON_FINAL,
    Reason.SUPERSEDED: pb.REFUSAL_REASON_SUPERSEDED,
    Reason.GRANTED_TO_ANOTHER: pb.REFUSAL_REASON_GRANTED_TO_ANOTHER,
    Reason.PAUSED: pb.REFUSAL_REASON_PAUSED,
    Reason.SEALED: pb.REFUSAL_REASON_SEALED,
    Reason.NOT_DISPATCHED: pb.REFUSAL_REASON_NOT_DISPATCHED,
    Reason.NOT_CANCELLED: pb.REFUSAL_REASON_NOT_CANCELLED,
    Reason.NOT_FOUND: pb.REFUSAL_REASON_NOT_DISPATCHED,
}
ReportCommand = (
    ReportProgress | SaveCheckpoint | ReportCompleted | ReportFailed | ReportStopped | HandBack
)
#: The commands of the outcomes that carry no value.
_COMMANDS: dict[str, type[ReportCompleted | ReportStopped | HandBack]] = {
    "completed": ReportCompleted,
    "stopped": ReportStopped,
    "handed_back": HandBack,
}


def command_of_claim(executor_id: str, claim: pb.Claim, paused: Collection[JobKind]) -> Claim:
    """Returns the command of a claim. Raises `ValueError` if the claim is out of bounds.

    `paused` are the job types of which no attempt is granted now.
    """
    job_id, attempt = parse_attempt(claim)
    return Claim(
        job_id=job_id,
        attempt=attempt,
        executor_id=executor_id,
        dispatch_id=claim.record.event_id,
        policy=policy_from_proto(claim.policy),
        traceparent=tracing.parse_traceparent(claim.traceparent),
        paused=paused,
    )


async def answer_claim(jobs: Jobs, claim: pb.Claim, command: Claim) -> pb.Answer:
    """Returns the answer to a claim, whose command this is: granted, refused or undecided."""
    if claim.record.partition != jobs.partition(command.job_id):
        # All records of a job are in its partition, so no facade wrote this one.
        return _refuse(claim.entry_id, Reason.NOT_DISPATCHED)
    return await _answer(jobs, "claim", claim, command, claim.record)


async def answer_report(jobs: Jobs, report: pb.Report, command: ReportCommand) -> pb.Answer:
    """Returns the answer to a report, whose command this is: applied, refused or undecided."""
    return await _answer(jobs, "report", report, command, report.grant)


async def _answer(
    jobs: Jobs, name: str, entry: pb.Claim | pb.Report, command: Command, record: pb.Record
) -> pb.Answer:
    """Executes the entry's command, inside a span of this name if the executor traces the entry."""
    if not entry.traceparent:
        return await _execute(jobs, entry.entry_id, command, record)
    with tracing.span(name, SpanKind.SERVER, traceparent=entry.traceparent) as span:
        answer = await _execute(jobs, entry.entry_id, command, record)
        span.set_attribute("fabric_jobs.answer", str(answer.WhichOneof("result")))
        return answer


async def _execute(jobs: Jobs, entry_id: int, command: Command, record: pb.Record) -> pb.Answer:
    try:
        stored = await jobs.execute(command, read_to=record.offset + 1)
        # The grant of an attempt comes with what its handler gets, if only facades can open it.
        is_sealed = isinstance(command, Claim) and has_sealed_content(stored.job)
        dispatch = _dispatch_of(jobs.content(stored.job)) if is_sealed else None
    except RefusedError as refused:
        return _refuse(entry_id, refused.reason)
    except UnavailableError as error:
        undecided = pb.Undecided(reason=error.reason, message=str(error))
        return pb.Answer(entry_id=entry_id, undecided=undecided)
    accepted = pb.Record(
        event_id=stored.job.event_id, partition=stored.partition, offset=stored.offset
    )
    return pb.Answer(entry_id=entry_id, accepted=accepted, dispatch=dispatch)


def _dispatch_of(content: Content) -> pb.Dispatch:
    return pb.Dispatch(
        payload=content.payload,
        checkpoint=content.checkpoint or b"",
        definition=content.definition,
    )


def command_of_report(executor_id: str, report: pb.Report) -> ReportCommand:
    """Returns the command of a report. Raises `ValueError` if the report is out of bounds."""
    job_id, attempt = parse_attempt(report)
    outcome = report.WhichOneof("outcome") or ""
    ended = time_from_proto(report.end_time) if report.HasField("end_time") else None
    if command := _COMMANDS.get(outcome):
        return command(
            job_id=job_id, attempt=attempt, executor_id=executor_id, handler_end_time=ended
        )
    if outcome == "progress":
        progress = progress_from_proto(report.progress)
        return ReportProgress(
            job_id=job_id, attempt=attempt, executor_id=executor_id, progress=progress
        )
    if outcome == "checkpoint":
        verify_checkpoint(report.checkpoint)
        return SaveCheckpoint(
            job_id=job_id, attempt=attempt, executor_id=executor_id, checkpoint=report.checkpoint
        )
    if outcome == "failed":
        error = error_from_proto(report.failed)
        return ReportFailed(
            job_id=job_id,
            attempt=attempt,
            executor_id=executor_id,
            error=error,
            traceback=report.traceback,
            log_tail=report.log_tail,
            handler_end_time=ended,
        )
    raise ValueError("the report has no outcome")


def _refuse(entry_id: int, reason: Reason) -> pb.Answer:
    refusal = pb.Refusal(reason=_REASONS[reason], message=reason.value)
    return pb.Answer(entry_id=entry_id, refused=refusal)


def refuse_invalid(entry_id: int, error: Exception) -> pb.Answer:
    """Returns the answer to an entry that is out of bounds; the error says how."""
    refusal = pb.Refusal(reason=pb.REFUSAL_REASON_INVALID, message=str(error))
    return pb.Answer(entry_id=entry_id, refused=refusal)
