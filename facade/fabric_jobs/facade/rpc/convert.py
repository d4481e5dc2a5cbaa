"""Converts jobs, changes and executors to gRPC messages."""

from fabric_jobs.contract import events
from fabric_jobs.contract.wire import (
    PHASES,
    STATUSES,
    error_to_proto,
    progress_to_proto,
    time_to_proto,
)
from fabric_jobs.facade.controls import JobTypeState
from fabric_jobs.facade.replica import Change
from fabric_jobs.facade.roster import LastHeartbeat
from fabric_jobs.facade.sealing import Revealed
from fabric_jobs.status.v1 import job_status_pb2 as pb


def job_to_proto(revealed: Revealed, hint: str = "", replaced_by: str = "") -> pb.Job:
    """Returns the message of a job.

    `hint` says why no executor can start it now; `replaced_by` is the job that took its place.
    """
    job = revealed.job
    state = job.state
    return pb.Job(
        job_id=job.job_id,
        tenant_id=state.tenant_id,
        workspace_id=state.workspace_id,
        item_type=state.item_type,
        item_id=state.item_id,
        job_type=state.job_type,
        invoke_type=state.invoke_type,
        status=STATUSES[state.status],
        phase=PHASES[state.phase],
        attempt=state.attempt,
        failures=state.failures,
        executor_id=state.executor_id or "",
        create_time=time_to_proto(state.create_time),
        start_time=time_to_proto(state.start_time),
        due_time=time_to_proto(state.due_time),
        end_time=time_to_proto(state.end_time),
        progress=progress_to_proto(state.progress) if state.progress else None,
        error=error_to_proto(state.error) if state.error else None,
        sequence=job.sequence,
        activity_id=state.activity_id or "",
        request_id=state.request_id or "",
        exhausted=state.exhausted,
        traceparent=job.traceparent or "",
        claim_traceparent=state.claim_traceparent or "",
        hint=hint,
        replaced_by=replaced_by,
        sealed_key_id=revealed.missing_key_id,
    )


def change_to_proto(change: Change, revealed: Revealed) -> pb.WatchJobsResponse:
    """Returns the message of an applied event and the job after it."""
    stored = change.stored
    return pb.WatchJobsResponse(
        job=job_to_proto(revealed),
        event_id=change.event.id,
        event_type=events.type_of(change.event),
        position=pb.Position(partition=stored.partition, offset=stored.offset + 1),
        event_time=time_to_proto(change.event.time),
    )


def executor_to_proto(last: LastHeartbeat) -> pb.Executor:
    """Returns the message of an executor, from its last heartbeat."""
    heartbeat = last.heartbeat
    return pb.Executor(
        executor_id=heartbeat.executor_id,
        pool=heartbeat.pool,
        job_types=[
            pb.JobType(item_type=kind.item_type, job_type=kind.job_type)
            for kind in heartbeat.job_kinds
        ],
        slots=heartbeat.slots,
        free_slots=heartbeat.free_slots,
        hung_slots=heartbeat.hung_slots,
        version=heartbeat.version,
        heartbeat_time=time_to_proto(last.time),
    )


def job_type_to_proto(state: JobTypeState) -> pb.JobTypeState:
    """Returns the message of a job type."""
    pause = state.pause
    return pb.JobTypeState(
        item_type=state.kind.item_type,
        job_type=state.kind.job_type,
        executors=state.executors,
        not_started=state.not_started,
        in_progress=state.in_progress,
        start_deadline=time_to_proto(state.start_deadline),
        pause=pb.Pause(reason=pause.reason, by=pause.by, time=time_to_proto(pause.time))
        if pause
        else None,
    )
