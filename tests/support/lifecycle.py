"""What the tests of the lifecycle share: commands, stamps, and a job driven to a phase."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event, KnownEvent, UnknownEvent
from fabric_jobs.contract.jobs import (
    ErrorResponse,
    ErrorSource,
    InvokeType,
    JobPhase,
    Policy,
    Progress,
)
from fabric_jobs.facade import lifecycle
from fabric_jobs.facade.lifecycle import Command, Job, Stamp, Verdict

JOB = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
A = "executor-a"
B = "executor-b"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD = b'{"rows":[1,2,3]}'
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#: A second and a third attempt, after backoffs of exactly 2 s and 6 s.
POLICY = Policy(max_attempts=3, initial_backoff_s=2, backoff_multiplier=3, jitter=0)
FOREVER = Policy(max_attempts=1_000, initial_backoff_s=0, jitter=0)
UNKNOWN_TYPE = "fabric.jobs.paused"


def at(seconds: float) -> datetime:
    """The instant so many seconds into the test."""
    return EPOCH + timedelta(seconds=seconds)


def stamp(event_id: str = "event", seconds: float = 0, source: str = "/replicas/1") -> Stamp:
    """A stamp with a chosen id and time."""
    return Stamp(event_id=event_id, source=source, time=at(seconds))


def request(job_id: str = JOB, request_hash: str = "hash-1") -> lifecycle.Request:
    """The creation of a job."""
    return lifecycle.Request(
        job_id=job_id,
        tenant_id="tenant",
        workspace_id="workspace",
        item_type="Org.Workload.Item",
        item_id="item",
        job_type="Org.Workload.Item.Job",
        invoke_type=InvokeType.MANUAL,
        request_hash=request_hash,
        payload=PAYLOAD,
        traceparent=TRACEPARENT,
    )


def claim(
    attempt: int, executor_id: str, dispatch_id: str, job_id: str = JOB, policy: Policy = POLICY
) -> lifecycle.Claim:
    """A claim on a dispatching record."""
    return lifecycle.Claim(
        job_id=job_id,
        attempt=attempt,
        executor_id=executor_id,
        dispatch_id=dispatch_id,
        policy=policy,
    )


def progressed(
    attempt: int = 1, executor_id: str = A, fraction: float = 0.5, message: str = "half"
) -> lifecycle.ReportProgress:
    """A report of progress."""
    return lifecycle.ReportProgress(
        job_id=JOB, attempt=attempt, executor_id=executor_id, progress=Progress(fraction, message)
    )


def completed(attempt: int = 1, executor_id: str = A) -> lifecycle.ReportCompleted:
    """A report that the handler returned."""
    return lifecycle.ReportCompleted(job_id=JOB, attempt=attempt, executor_id=executor_id)


def failed(
    attempt: int = 1,
    executor_id: str = A,
    error: ErrorResponse | None = None,
    traceback: str = "",
) -> lifecycle.ReportFailed:
    """A report of a failure; of one that may pass, unless an error is given."""
    return lifecycle.ReportFailed(
        job_id=JOB,
        attempt=attempt,
        executor_id=executor_id,
        error=error or failure(),
        traceback=traceback,
    )


def stopped(attempt: int = 1, executor_id: str = A) -> lifecycle.ReportStopped:
    """A report that the run stopped for a cancel."""
    return lifecycle.ReportStopped(job_id=JOB, attempt=attempt, executor_id=executor_id)


def hand_back(attempt: int = 1, executor_id: str = A) -> lifecycle.HandBack:
    """A run given back."""
    return lifecycle.HandBack(job_id=JOB, attempt=attempt, executor_id=executor_id)


def lose_lease(attempt: int = 1, executor_id: str = A) -> lifecycle.LoseLease:
    """A replica's finding that the executor is silent."""
    return lifecycle.LoseLease(job_id=JOB, attempt=attempt, executor_id=executor_id)


def retry(attempt: int = 1) -> lifecycle.Retry:
    """A replica's finding that the next attempt is due."""
    return lifecycle.Retry(job_id=JOB, attempt=attempt)


def deadlines(attempt: int = 1) -> tuple[lifecycle.TimeOutRun, lifecycle.ForceCancel]:
    """A replica's findings that the run's timeout is over, and its cancel's grace."""
    return (
        lifecycle.TimeOutRun(job_id=JOB, attempt=attempt),
        lifecycle.ForceCancel(job_id=JOB, attempt=attempt),
    )


def cancel() -> lifecycle.RequestCancel:
    """Somebody's wish that the job be cancelled."""
    return lifecycle.RequestCancel(job_id=JOB)


def failure(code: str = "Flaky", *, permanent: bool | None = None) -> ErrorResponse:
    """An error; one that may pass, unless said otherwise."""
    return ErrorResponse(
        error_code=code,
        message=f"{code} happened.",
        source=ErrorSource.EXTERNAL,
        is_permanent=permanent,
    )


def decided(job: Job | None, command: Command, given: Stamp) -> KnownEvent:
    """The event that the command leads to; there must be one."""
    decision = lifecycle.decide(job, command, given)
    assert isinstance(decision, KnownEvent), decision
    return decision


def applied(job: Job | None, event: Event) -> Job:
    """The job after the event, which must apply."""
    verdict, after = lifecycle.fold(job, event)
    assert verdict is Verdict.APPLIED, (verdict, event)
    assert after is not None
    return after


def events_of(commands: Iterable[Command], job: Job | None = None) -> list[Event]:
    """What the commands lead to; the event at sequence n has id `e{n}` and happens at n seconds.

    A claim is made on the dispatch that the job has, whatever it names.
    """
    told: list[Event] = []
    for command in commands:
        if job is not None and isinstance(command, lifecycle.Claim):
            command = replace(command, dispatch_id=job.dispatch_id)
        sequence = job.sequence + 1 if job else 1
        told.append(decided(job, command, stamp(f"e{sequence}", sequence)))
        job = applied(job, told[-1])
    return told


def driven(commands: Iterable[Command], job: Job | None = None) -> Job:
    """The job after the commands, as `events_of` tells them."""
    for event in events_of(commands, job):
        job = applied(job, event)
    assert job is not None
    return job


_START = (request(), claim(1, A, "e1"))
#: The shortest way to each phase, by a name that also tells the final states apart.
WAYS: dict[str, tuple[Command, ...]] = {
    "unknown": (),
    "queued": (request(),),
    "running": _START,
    "stopping": (*_START, cancel()),
    "waiting": (*_START, failed()),
    "queued again": (*_START, failed(), retry()),
    "running again": (*_START, failed(), retry(), claim(2, A, "e4")),
    "completed": (*_START, completed()),
    "failed": (*_START, failed(error=failure(permanent=True))),
    "stopped": (*_START, cancel(), stopped()),
    "cancelled": (request(), cancel()),
}
PHASES: dict[str, JobPhase | None] = {
    "unknown": None,
    "queued": JobPhase.QUEUED,
    "running": JobPhase.RUNNING,
    "stopping": JobPhase.STOPPING,
    "waiting": JobPhase.WAITING,
    "queued again": JobPhase.QUEUED,
    "running again": JobPhase.RUNNING,
    "completed": JobPhase.ENDED,
    "failed": JobPhase.ENDED,
    "stopped": JobPhase.ENDED,
    "cancelled": JobPhase.ENDED,
}


def job_in(name: str) -> Job | None:
    """The job driven along `WAYS[name]`."""
    return driven(WAYS[name]) if WAYS[name] else None


def unknown_event(job: Job | None, event_id: str = "later") -> UnknownEvent:
    """An event of a later version's type that follows the job's last one and changes nothing."""
    given = job or driven([request()])
    dispatch = UNSET if job else events.Dispatch(Raw(PAYLOAD))
    return UnknownEvent(
        type=UNKNOWN_TYPE,
        id=event_id,
        source="/replicas/later",
        subject=JOB,
        time=EPOCH,
        data=events.EventData(
            sequence=job.sequence + 1 if job else 1,
            follows=job.event_id if job else None,
            state=given.state,
            dispatch=dispatch,
        ),
    )
