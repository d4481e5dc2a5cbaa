"""What can be asked of a job; `decide` says what becomes of it."""

from datetime import datetime

from msgspec import Struct

from fabric_jobs.contract.jobs import ErrorResponse, Policy, Progress


class Stamp(Struct, frozen=True, kw_only=True):
    """What only the outside knows of an event: the id it would have, who decides, and when."""

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
    #: An `InvokeType`; that of a job started again may be a later version's.
    invoke_type: str
    request_hash: str
    #: The creation payload, as JSON; `null` where there is none.
    payload: bytes = b"null"
    activity_id: str | None = None
    request_id: str | None = None
    traceparent: str | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """An executor asks for the attempt that a record dispatched."""

    job_id: str
    attempt: int
    executor_id: str
    dispatch_id: str
    policy: Policy
    traceparent: str | None = None


class ReportProgress(Struct, frozen=True, kw_only=True):
    """A run says how far it is."""

    job_id: str
    attempt: int
    executor_id: str
    progress: Progress


class ReportCompleted(Struct, frozen=True, kw_only=True):
    """A run's handler returned."""

    job_id: str
    attempt: int
    executor_id: str


class ReportFailed(Struct, frozen=True, kw_only=True):
    """A run failed; whether another follows is for the policy, unless the error is permanent."""

    job_id: str
    attempt: int
    executor_id: str
    error: ErrorResponse
    #: Where the handler raised; may be empty.
    traceback: str = ""


class ReportStopped(Struct, frozen=True, kw_only=True):
    """A run stopped because a cancel asked it to."""

    job_id: str
    attempt: int
    executor_id: str


class HandBack(Struct, frozen=True, kw_only=True):
    """An executor gives a run back, as at its drain: another attempt, and no failure."""

    job_id: str
    attempt: int
    executor_id: str


class LoseLease(Struct, frozen=True, kw_only=True):
    """A replica found that the run's executor was silent for a lease: counts as a failure."""

    job_id: str
    attempt: int
    executor_id: str


class Retry(Struct, frozen=True, kw_only=True):
    """A replica found the waiting job's next attempt due."""

    job_id: str
    attempt: int


class FailUnstarted(Struct, frozen=True, kw_only=True):
    """A replica found the start deadline over, and no attempt started."""

    job_id: str
    #: When an executor with a handler for the job was last heard of; none where none ever was.
    last_served: datetime | None = None


class TimeOutRun(Struct, frozen=True, kw_only=True):
    """A replica found the run's timeout over: counts as a failure."""

    job_id: str
    attempt: int


class ForceCancel(Struct, frozen=True, kw_only=True):
    """A replica found the cancel grace over: the run is cancelled without its consent."""

    job_id: str
    attempt: int


class Expire(Struct, frozen=True, kw_only=True):
    """A replica found the job's longest life over."""

    job_id: str


class RequestCancel(Struct, frozen=True, kw_only=True):
    """Somebody wants the job cancelled."""

    job_id: str


class RequestRetry(Struct, frozen=True, kw_only=True):
    """Somebody wants an ended job's content started again: as another job, by a `Request`."""

    job_id: str


RunCommand = ReportProgress | ReportCompleted | ReportFailed | ReportStopped | HandBack | LoseLease
TimeCommand = Retry | FailUnstarted | TimeOutRun | ForceCancel | Expire
Command = Request | Claim | RunCommand | TimeCommand | RequestCancel | RequestRetry
