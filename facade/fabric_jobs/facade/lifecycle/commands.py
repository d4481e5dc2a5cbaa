"""The commands that change a job. `decide` turns each into an event, or into a reason for none."""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import Policy, Progress


class Stamp(Struct, frozen=True, kw_only=True):
    """The parts of an event that the caller supplies: its id, its source and its time in UTC."""

    event_id: str
    source: str
    time: datetime


class Request(Struct, frozen=True, kw_only=True):
    """Fabric asks for a new job instance."""

    job_id: str
    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    #: An `InvokeType`. A retried job may have one that only a later version knows.
    invoke_type: str
    request_hash: str
    #: The creation payload as JSON; `null` if the request had none.
    payload: bytes = b"null"
    #: The item's definition as JSON; empty if the request had none.
    definition: bytes = b""
    activity_id: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    #: The final job whose content is started again; None for a job that Fabric requested.
    retry_of: str | None = None
    #: What is kept of the user's consent; None if nothing is.
    grant_id: str | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """An executor asks to run the attempt that the event `dispatch_id` dispatched."""

    job_id: str
    attempt: int
    executor_id: str
    dispatch_id: str
    policy: Policy
    traceparent: str | None = None
    #: The job types of which no attempt is granted now.
    paused: Collection[JobKind] = frozenset()


class ReportProgress(Struct, frozen=True, kw_only=True):
    """An executor reports the progress of its run."""

    job_id: str
    attempt: int
    executor_id: str
    progress: Progress


class SaveCheckpoint(Struct, frozen=True, kw_only=True):
    """An executor saves the checkpoint of its run."""

    job_id: str
    attempt: int
    executor_id: str
    #: JSON that `verify_checkpoint` has accepted.
    checkpoint: bytes


class ReportCompleted(Struct, frozen=True, kw_only=True):
    """An executor reports that the handler of its run returned."""

    job_id: str
    attempt: int
    executor_id: str
    #: When the handler ended, by the executor's clock; None if the executor did not say.
    handler_end_time: datetime | None = None


class ReportFailed(Struct, frozen=True, kw_only=True):
    """An executor reports that its run failed.

    The policy decides whether another attempt follows. A permanent error is never retried.
    """

    job_id: str
    attempt: int
    executor_id: str
    error: ErrorResponse
    #: The traceback of the handler's exception; may be empty.
    traceback: str = ""
    #: The last lines that the handler logged; may be empty.
    log_tail: str = ""
    #: When the handler ended, by the executor's clock; None if the executor did not say.
    handler_end_time: datetime | None = None


class ReportStopped(Struct, frozen=True, kw_only=True):
    """An executor reports that its run stopped because the job was cancelled."""

    job_id: str
    attempt: int
    executor_id: str
    #: When the handler ended, by the executor's clock; None if the executor did not say.
    handler_end_time: datetime | None = None


class HandBack(Struct, frozen=True, kw_only=True):
    """An executor gives its run back, for example while it drains.

    Another attempt follows, and the policy counts no failure.
    """

    job_id: str
    attempt: int
    executor_id: str
    #: When the handler ended, by the executor's clock; None if the executor did not say.
    handler_end_time: datetime | None = None


class LoseLease(Struct, frozen=True, kw_only=True):
    """A replica found that no heartbeat listed the run for a lease; counts as a failure."""

    job_id: str
    attempt: int
    executor_id: str


class Retry(Struct, frozen=True, kw_only=True):
    """A replica found that the backoff of a waiting job is over."""

    job_id: str
    attempt: int


class FailUnstarted(Struct, frozen=True, kw_only=True):
    """A replica found that no attempt started before the start deadline."""

    job_id: str
    #: When an executor with a handler for the job last sent a heartbeat; None if none did in the
    #: last hour.
    last_served: datetime | None = None
    #: The pause of the job's type; None if the type is not paused.
    pause: JobTypeControl | None = None


class TimeOutRun(Struct, frozen=True, kw_only=True):
    """A replica found that the run exceeded its timeout; counts as a failure."""

    job_id: str
    attempt: int


class ForceCancel(Struct, frozen=True, kw_only=True):
    """A replica found that a cancelled run did not stop within its grace; ends the job."""

    job_id: str
    attempt: int


class Expire(Struct, frozen=True, kw_only=True):
    """A replica found that the job is older than the longest life of jobs."""

    job_id: str
    #: The service's longest life of a job.
    longest_life: timedelta = DEFAULT_LONGEST_LIFE


class RequestCancel(Struct, frozen=True, kw_only=True):
    """Fabric or an operator asks to cancel the job."""

    job_id: str


class RequestRetry(Struct, frozen=True, kw_only=True):
    """An operator asks to start a final job's content again.

    The final job does not change: the caller starts the content as a new job by a `Request`.
    """

    job_id: str


RunCommand = (
    ReportProgress
    | SaveCheckpoint
    | ReportCompleted
    | ReportFailed
    | ReportStopped
    | HandBack
    | LoseLease
)
TimeCommand = Retry | FailUnstarted | TimeOutRun | ForceCancel | Expire
Command = Request | Claim | RunCommand | TimeCommand | RequestCancel | RequestRetry
