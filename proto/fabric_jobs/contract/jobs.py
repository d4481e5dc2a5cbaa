"""Fabric's words for a job, and the state of one as every event carries it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

MAX_MESSAGE_CHARS = 2048
MAX_CODE_CHARS = 128
MAX_LISTED = 16
MAX_ERROR_BYTES = 16 * 1024
MAX_PROGRESS_CHARS = 1024
MAX_TRACEBACK_BYTES = 8 * 1024

#: An instant in UTC; RFC 3339 on the wire.
Timestamp = Annotated[datetime, Meta(tz=True)]


class JobInstanceStatus(StrEnum):
    """What Fabric shows of a job (WDK `JobInstanceStatus`); the last three are final.

    Never has more members: an older fold takes no other.
    """

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class JobPhase(StrEnum):
    """Where a job is inside the service; finer than Fabric's status.

    Never has more members: an older fold takes no other.
    """

    #: Dispatched: a record on the topic waits for an executor's claim.
    QUEUED = "Queued"
    #: The current attempt is granted to an executor.
    RUNNING = "Running"
    #: Granted, and a cancel is pending.
    STOPPING = "Stopping"
    #: The last attempt failed; the next is dispatched at the due time.
    WAITING = "Waiting"
    #: Final.
    ENDED = "Ended"


#: Made once: in Python 3.11, to look a member up by its class costs more than to compare it.
_HELD = (JobPhase.RUNNING, JobPhase.STOPPING)


class InvokeType(StrEnum):
    """Who asked for the job (WDK `JobInvokeType`); a later version may know more."""

    MANUAL = "Manual"
    SCHEDULED = "Scheduled"
    UNKNOWN_FUTURE_VALUE = "UnknownFutureValue"

    @classmethod
    def of(cls, name: str) -> "InvokeType":
        """The invoke type of this name, which a later version may have written."""
        try:
            return cls(name)
        except ValueError:
            return cls.UNKNOWN_FUTURE_VALUE


class ErrorSource(StrEnum):
    """Whose fault an error is (WDK `ErrorSource`).

    Never has more members: Fabric is told these, and an older fold takes no other.
    """

    SYSTEM = "System"
    USER = "User"
    EXTERNAL = "External"


class NameValuePair(Struct, frozen=True, rename="camel"):
    """A named value beside an error (WDK `NameValuePair`)."""

    name: str
    value: str


class ErrorExtendedInformation(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A further error behind the first (WDK `ErrorExtendedInformation`)."""

    error_code: str
    message: str
    message_parameters: tuple[str, ...] = ()
    additional_parameters: tuple[NameValuePair, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What went wrong and what to do (WDK `ErrorResponse`): an HTTP error's body, a job's error."""

    error_code: str
    message: str
    source: ErrorSource
    is_permanent: bool | None = None
    message_parameters: tuple[str, ...] = ()
    more_details: tuple[ErrorExtendedInformation, ...] = ()

    def bounded(self) -> "ErrorResponse":
        """The same error, cut so that its event fits: texts first, then the last details."""
        error = replace(
            self,
            error_code=self.error_code[:MAX_CODE_CHARS],
            message=self.message[:MAX_MESSAGE_CHARS],
            message_parameters=self.message_parameters[:MAX_LISTED],
            more_details=self.more_details[:MAX_LISTED],
        )
        while len(msgspec.json.encode(error)) > MAX_ERROR_BYTES:
            if error.more_details:
                error = replace(error, more_details=error.more_details[:-1])
            else:
                error = replace(error, message_parameters=error.message_parameters[:-1])
        return error


def bounded_traceback(text: str) -> str:
    """Its end, cut so that its event fits: what was raised stands last."""
    text = text[-MAX_TRACEBACK_BYTES:]
    while (excess := len(msgspec.json.encode(text)) - MAX_TRACEBACK_BYTES) > 0:
        # A character takes 6 bytes at most, in JSON.
        text = text[excess // 6 + 1 :]
    return text


class Progress(Struct, frozen=True, rename="camel"):
    """How far a run is: a fraction of 1, and a text for people."""

    fraction: Annotated[float, Meta(ge=0, le=1)]
    message: str = ""


class Policy(Struct, frozen=True, kw_only=True, rename="camel"):
    """What decides when the executor is dead: it travels in the claim, `started` records it."""

    #: Attempts that may fail before the job does; 1 means no retry.
    max_attempts: Annotated[int, Meta(ge=1)] = 1
    #: Seconds before the second attempt.
    initial_backoff_s: Annotated[float, Meta(ge=0)] = 1.0
    #: What each further backoff is multiplied by.
    backoff_multiplier: Annotated[float, Meta(ge=1)] = 2.0
    #: Seconds that no backoff exceeds.
    max_backoff_s: Annotated[float, Meta(ge=0)] = 60.0
    #: The fraction of a backoff by which it may be shortened, so that retries do not fall together.
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    #: Seconds that an attempt may run; none means the job's longest life.
    run_timeout_s: Annotated[float, Meta(gt=0)] | None = None
    #: Seconds that a cancelled run may take to stop.
    cancel_grace_s: Annotated[float, Meta(ge=0)] = 60.0


class JobState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A job's public state after an event. Its form never changes; new fields have defaults."""

    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    #: An `InvokeType`, or a later version's.
    invoke_type: Annotated[str, Meta(examples=list(InvokeType))]
    #: SHA-256 of the canonical request: tells a repeated create from a conflicting one.
    request_hash: str
    #: Fabric's correlation ids of the request that created the job: `ActivityId`, `RequestId`.
    activity_id: str | None = None
    request_id: str | None = None
    create_time: Timestamp
    status: JobInstanceStatus
    phase: JobPhase
    #: Rises with every dispatch, and fences: a report of an earlier attempt changes nothing.
    attempt: int
    #: What a retry policy counts; a hand-back does not raise it.
    failures: int = 0
    #: Who was granted the current attempt, while and after it runs.
    executor_id: str | None = None
    #: W3C Trace Context of the last claim that was granted, where it was traced.
    claim_traceparent: str | None = None
    #: The policy that the grant of the current attempt recorded.
    policy: Policy | None = None
    #: The first start of any attempt.
    start_time: Timestamp | None = None
    #: The start of the current attempt, while and after it runs.
    attempt_start_time: Timestamp | None = None
    #: When the running job was asked to stop.
    cancel_time: Timestamp | None = None
    #: When the waiting job's next attempt is due.
    due_time: Timestamp | None = None
    #: When the current attempt was dispatched; none for the first, which was so at `create_time`.
    dispatch_time: Timestamp | None = None
    end_time: Timestamp | None = None
    progress: Progress | None = None
    #: The error of the last attempt that failed; the earlier ones stand in its details.
    error: ErrorResponse | None = None
    #: Which attempt that was.
    failed_attempt: int | None = None
    #: Failed because every attempt that the policy allows has failed, be it one: the same content
    #: may succeed another time. A permanent error or a deadline exhausts nothing.
    exhausted: bool = False

    @property
    def held(self) -> bool:
        """Whether an executor holds the job: it runs, or is to stop."""
        return self.phase in _HELD
