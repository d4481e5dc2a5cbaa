"""A job in Fabric's terms, and the job's state as every event carries it.

"WDK" in a docstring names the type of Fabric's Workload Development Kit.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.scalars import (
    AttemptNumber,
    Count,
    Guid,
    Name,
    SealedText,
    ShortText,
    Timestamp,
)

#: The bound of a progress message.
MAX_PROGRESS_CHARS = 1024
#: The bound of a time in a policy, in seconds: more than 68 years.
MAX_POLICY_S = 2**31 - 1
#: The bound of the factor by which each backoff is longer than the one before.
MAX_BACKOFF_MULTIPLIER = 1_000_000
#: A time in a policy, in seconds.
_Seconds = Annotated[float, Meta(ge=0, le=MAX_POLICY_S)]


class JobInstanceStatus(StrEnum):
    """The status of a job in Fabric (WDK `JobInstanceStatus`); the last three are final.

    It never gets more members, because an older replica cannot fold an unknown one.
    """

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class JobPhase(StrEnum):
    """The state of a job inside the service, finer than Fabric's status.

    It never gets more members, because an older replica cannot fold an unknown one.
    """

    #: An attempt is dispatched: its record on the topic waits for an executor's claim.
    QUEUED = "Queued"
    #: The current attempt is granted to an executor.
    RUNNING = "Running"
    #: The current attempt is granted, and a cancel is pending.
    STOPPING = "Stopping"
    #: The last attempt failed. The next attempt is dispatched at the due time.
    WAITING = "Waiting"
    #: The job is final.
    ENDED = "Ended"


#: A constant, because in Python 3.11 looking up an enum member costs more than comparing it.
_HELD = (JobPhase.RUNNING, JobPhase.STOPPING)


class InvokeType(StrEnum):
    """Who requested the job (WDK `JobInvokeType`). A later version may know more values."""

    MANUAL = "Manual"
    SCHEDULED = "Scheduled"
    UNKNOWN_FUTURE_VALUE = "UnknownFutureValue"

    @classmethod
    def parse(cls, name: str) -> "InvokeType":
        """Returns the invoke type of this name; `UNKNOWN_FUTURE_VALUE` for an unknown name."""
        try:
            return cls(name)
        except ValueError:
            return cls.UNKNOWN_FUTURE_VALUE


class Progress(Struct, frozen=True, rename="camel"):
    """The progress of a run."""

    #: The part that is done, from 0 to 1.
    fraction: Annotated[float, Meta(ge=0, le=1)]
    #: What the run does now, for people; at most 1,024 characters.
    message: Annotated[str, Meta(max_length=MAX_PROGRESS_CHARS)] = ""
    #: The message, if it is sealed. Then `message` is empty.
    sealed: SealedText | UnsetType = UNSET


class Policy(Struct, frozen=True, kw_only=True, rename="camel"):
    """What facades do about a run: retries, timeout and cancel. The claim carries it.

    `Started` records it in the state, so facades can decide after the executor has died.
    """

    #: How many attempts may fail: the job fails with the last of them; 1 means no retry.
    max_attempts: AttemptNumber = 1
    #: Seconds from the first failure to the second attempt.
    initial_backoff_s: _Seconds = 1.0
    #: The factor by which each further backoff is longer than the one before.
    backoff_multiplier: Annotated[float, Meta(ge=1, le=MAX_BACKOFF_MULTIPLIER)] = 2.0
    #: The longest backoff, in seconds.
    max_backoff_s: _Seconds = 60.0
    #: The largest fraction by which a backoff is shortened, so that retries of many jobs spread.
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    #: Seconds that an attempt may run; `null` means until the job's longest life ends.
    run_timeout_s: Annotated[float, Meta(gt=0, le=MAX_POLICY_S)] | None = None
    #: Seconds that a run may take to stop after a cancel.
    cancel_grace_s: _Seconds = 60.0


class JobState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The public state of a job after an event. No field is removed; new fields have defaults."""

    #: The customer's tenant.
    tenant_id: Guid
    #: The workspace of the item.
    workspace_id: Guid
    #: The type of the item, as the workload's manifest names it.
    item_type: Name
    #: The item that the job works on.
    item_id: Guid
    #: The type of the job, as the workload's manifest names it.
    job_type: Name
    #: Who requested the job: an `InvokeType`, or a value of a later version.
    invoke_type: Annotated[ShortText, Meta(examples=list(InvokeType))]
    #: SHA-256 of the canonical create request. A repeated create has the same hash, a conflicting
    #: one has another. Where secrets are sealed, it is `KEY_ID:` and an HMAC of that hash.
    request_hash: Name
    #: Fabric's `ActivityId` of the request that created the job.
    activity_id: ShortText | None = None
    #: Fabric's `RequestId` of the request that created the job.
    request_id: ShortText | None = None
    #: When the job was accepted.
    create_time: Timestamp
    #: The status that Fabric shows.
    status: JobInstanceStatus
    #: The state inside the service.
    phase: JobPhase
    #: The number of the current attempt, from 1. Every dispatch raises it. A report of an earlier
    #: attempt changes nothing.
    attempt: AttemptNumber
    #: The number of failed attempts that a retry policy counts. A run that was handed back is not
    #: counted.
    failures: Count = 0
    #: The executor process that got the current attempt; it stays after the attempt ends.
    executor_id: ShortText | None = None
    #: The W3C Trace Context of the last granted claim; `null` if the claim was not traced.
    claim_traceparent: ShortText | None = None
    #: The policy in the claim of the current attempt.
    policy: Policy | None = None
    #: When the first attempt started.
    start_time: Timestamp | None = None
    #: When the current attempt started; it stays after the attempt ends.
    attempt_start_time: Timestamp | None = None
    #: When a cancel was requested while the job ran.
    cancel_time: Timestamp | None = None
    #: When the next attempt is dispatched, while the job waits for it.
    due_time: Timestamp | None = None
    #: When the current attempt was dispatched; `null` for the first, which was dispatched at
    #: `createTime`.
    dispatch_time: Timestamp | None = None
    #: When the job became final.
    end_time: Timestamp | None = None
    #: The last progress that was reported since an attempt started.
    progress: Progress | None = None
    #: The error of the last failed attempt. Its details hold the errors of earlier attempts.
    error: ErrorResponse | None = None
    #: The number of the attempt that `error` belongs to.
    failed_attempt: AttemptNumber | None = None
    #: Whether the job failed because all attempts that its policy allows have failed. A retry may
    #: succeed then. It is false after a permanent error or a missed deadline.
    exhausted: bool = False
    #: The final job whose content this job starts again, and whose place it takes; a job instance
    #: id.
    retry_of: Guid | None = None
    #: Names what the facades keep, sealed and apart from the events, to get tokens on behalf of the
    #: user who requested the job; `null` if they keep nothing.
    grant_id: Guid | None = None

    @property
    def dispatched_at(self) -> datetime:
        """When the current attempt was dispatched."""
        return self.dispatch_time or self.create_time

    @property
    def held(self) -> bool:
        """Whether an executor holds the current attempt: the phase is Running or Stopping."""
        return self.phase in _HELD
