"""Builds the event that follows a job's last one."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.events import Dispatch, EventData, FailedData, RequeuedData, RequeueReason
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.scalars import MAX_COUNT
from fabric_jobs.facade.lifecycle.commands import Stamp
from fabric_jobs.facade.lifecycle.job import Job, Sealed
from fabric_jobs.facade.lifecycle.table import TABLE

_ENDS: dict[JobInstanceStatus, tuple[type[events.KnownEvent], type[EventData]]] = {
    JobInstanceStatus.COMPLETED: (events.Completed, EventData),
    JobInstanceStatus.FAILED: (events.Failed, FailedData),
    JobInstanceStatus.CANCELLED: (events.Cancelled, EventData),
}
_NO_MORE_ATTEMPTS = ErrorResponse(
    error_code="TooManyAttempts",
    message=f"The job has had {MAX_COUNT} attempts, and no further attempt has a number.",
    source=ErrorSource.SYSTEM,
    is_permanent=False,
)


def dispatch_of(
    payload: bytes | Sealed,
    definition: bytes | Sealed,
    checkpoint: bytes | Sealed | None = None,
) -> Dispatch:
    """The part of an event that dispatches an attempt. Sealed content is carried as it is."""
    dispatch = Dispatch(
        Raw(b"null") if isinstance(payload, Sealed) else Raw(payload),
        Raw(definition) if definition and not isinstance(definition, Sealed) else UNSET,
        UNSET if checkpoint is None or isinstance(checkpoint, Sealed) else Raw(checkpoint),
    )
    sealed = {
        name: value.text
        for name, value in (
            ("sealed_payload", payload),
            ("sealed_definition", definition),
            ("sealed_checkpoint", checkpoint),
        )
        if isinstance(value, Sealed)
    }
    return replace(dispatch, **sealed) if sealed else dispatch


def end(
    job: Job,
    stamp: Stamp,
    *,
    status: JobInstanceStatus,
    handler_end_time: datetime | None = None,
    **changes: Any,
) -> events.KnownEvent:
    """The event that ends the job in this status; `changes` are further fields of the state.

    Only a job that failed keeps an error: the error of an earlier attempt no longer holds. The end
    time of the job is the handler's, if the executor said it. The executor's clock may be wrong, so
    the time is moved to between the attempt's start and now.
    """
    kind, data = _ENDS[status]
    if status is not JobInstanceStatus.FAILED:
        changes |= {"error": None, "failed_attempt": None}
    end_time = stamp.time
    if handler_end_time is not None:
        started = job.state.attempt_start_time or job.state.create_time
        end_time = min(max(handler_end_time, started), stamp.time)
    return follow(
        job,
        kind,
        stamp,
        _data=data,
        status=status,
        end_time=end_time,
        due_time=None,
        **changes,
    )


def requeue(job: Job, reason: RequeueReason, stamp: Stamp, **changes: Any) -> events.KnownEvent:
    """The event that dispatches the next attempt; `changes` are further fields of the state.

    The event ends the job instead if the number of the next attempt would exceed its bound. Only an
    event that no facade wrote leads there.
    """
    if job.state.attempt >= MAX_COUNT:
        return end(job, stamp, status=JobInstanceStatus.FAILED, error=_NO_MORE_ATTEMPTS)
    return follow(
        job,
        events.Requeued,
        stamp,
        _data=lambda **data: RequeuedData(
            reason=reason, dispatch=dispatch_of(job.payload, job.definition, job.checkpoint), **data
        ),
        attempt=job.state.attempt + 1,
        dispatch_time=stamp.time,
        executor_id=None,
        policy=None,
        attempt_start_time=None,
        cancel_time=None,
        due_time=None,
        **changes,
    )


def follow(
    job: Job,
    kind: type[events.KnownEvent],
    stamp: Stamp,
    _data: Callable[..., EventData] = EventData,
    **changes: Any,
) -> events.KnownEvent:
    """The event of this kind that follows the job's last one.

    `TABLE` gives the phase after it; `changes` are the other fields of the state that change.
    Raises `KeyError` if the table has no such event in the job's phase.
    """
    state = replace(job.state, phase=TABLE[job.state.phase][kind], **changes)
    # Each kind of event has its own type of data, and mypy can't see that `_data` matches `kind`.
    build: Callable[..., events.KnownEvent] = kind
    return build(
        id=stamp.event_id,
        source=stamp.source,
        subject=job.job_id,
        time=stamp.time,
        traceparent=job.traceparent or UNSET,
        data=_data(sequence=job.sequence + 1, follows=job.event_id, state=state),
    )
