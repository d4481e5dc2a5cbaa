"""Chooses what a command leads to, from the job's state as this replica has applied it."""

from msgspec import UNSET

from fabric_jobs.contract import events
from fabric_jobs.contract.events import EventData
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, JobState
from fabric_jobs.facade.lifecycle.commands import (
    Claim,
    Command,
    Request,
    RequestCancel,
    RequestRetry,
    Stamp,
    TimeCommand,
)
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled, Undecidable
from fabric_jobs.facade.lifecycle.follow import dispatch_of, end, follow
from fabric_jobs.facade.lifecycle.job import Job
from fabric_jobs.facade.lifecycle.runs import decide_run
from fabric_jobs.facade.lifecycle.table import TABLE
from fabric_jobs.facade.lifecycle.times import decide_time


def decide(job: Job | None, command: Command, stamp: Stamp) -> Decision:
    """The event that carries the command out, or the reason why there is none.

    `job` is None if this replica knows no such job. Nothing is appended here: the caller appends
    the event, and the fold tells whether it applied.
    """
    if job is not None and not job.decidable:
        return Undecidable(job)
    if isinstance(command, Request):
        return _decide_request(job, command, stamp)
    if job is None:
        return Refusal(Reason.NOT_FOUND, conclusive=False)
    if isinstance(command, Claim):
        return _decide_claim(job, command, stamp)
    if isinstance(command, RequestCancel):
        return _decide_cancel(job, stamp)
    if isinstance(command, RequestRetry):
        # The refusal is not conclusive: the job's end may be on the log and not read here yet.
        return Settled(job) if job.final else Refusal(Reason.NOT_FINAL, conclusive=False)
    if isinstance(command, TimeCommand):
        return decide_time(job, command, stamp)
    return decide_run(job, command, stamp)


def _decide_request(job: Job | None, command: Request, stamp: Stamp) -> Decision:
    if job is not None:
        same = job.state.request_hash == command.request_hash
        return Settled(job) if same else Refusal(Reason.CONFLICT, conclusive=True)
    state = JobState(
        tenant_id=command.tenant_id,
        workspace_id=command.workspace_id,
        item_type=command.item_type,
        item_id=command.item_id,
        job_type=command.job_type,
        invoke_type=command.invoke_type,
        request_hash=command.request_hash,
        activity_id=command.activity_id,
        request_id=command.request_id,
        retry_of=command.retry_of,
        grant_id=command.grant_id,
        create_time=stamp.time,
        status=JobInstanceStatus.NOT_STARTED,
        phase=TABLE[None][events.Requested],
        attempt=1,
    )
    return events.Requested(
        id=stamp.event_id,
        source=stamp.source,
        subject=command.job_id,
        time=stamp.time,
        traceparent=command.traceparent or UNSET,
        data=EventData(
            sequence=1,
            follows=None,
            state=state,
            dispatch=dispatch_of(command.payload, command.definition),
        ),
    )


def _decide_claim(job: Job, command: Claim, stamp: Stamp) -> Decision:
    state = job.state
    if command.attempt == state.attempt and command.dispatch_id != job.dispatch_id:
        # Either the claimed record lost its race, or this replica has not read it yet.
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt == state.attempt and state.held:
        if command.executor_id == state.executor_id:
            return Settled(job, conclusive=False)
        return Refusal(Reason.GRANTED_TO_ANOTHER, conclusive=True)
    if job.final:
        return Refusal(Reason.FINAL, conclusive=True)
    if command.attempt > state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt < state.attempt or state.phase is not JobPhase.QUEUED:
        return Refusal(Reason.SUPERSEDED, conclusive=True)
    if JobKind.of(state) in command.paused:
        # Not conclusive: the executor may repeat a claim whose grant is not read here yet.
        return Refusal(Reason.PAUSED, conclusive=False)
    return follow(
        job,
        events.Started,
        stamp,
        status=JobInstanceStatus.IN_PROGRESS,
        executor_id=command.executor_id,
        claim_traceparent=command.traceparent,
        policy=command.policy,
        start_time=state.start_time or stamp.time,
        attempt_start_time=stamp.time,
        progress=None,
    )


def _decide_cancel(job: Job, stamp: Stamp) -> Decision:
    match job.state.phase:
        case JobPhase.ENDED | JobPhase.STOPPING:
            return Settled(job)
        case JobPhase.RUNNING:
            return follow(job, events.CancelRequested, stamp, cancel_time=stamp.time)
        case JobPhase.QUEUED | JobPhase.WAITING:
            return end(job, stamp, status=JobInstanceStatus.CANCELLED)
