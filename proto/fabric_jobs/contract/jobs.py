"""A job in Fabric's terms, and the job's state as every event carries it.

"WDK" in a docstring names the type of Fabric's Workload Development Kit.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from fabric_jobs.contract.guids import CANONICAL_GUID, GUID_CHARS

#: The bounds of an error: the characters of a message, of a code and of a value that a message
#: names, the entries of each list, and the bytes of the whole as JSON.
MAX_MESSAGE_CHARS = 2048
MAX_CODE_CHARS = 128
MAX_PARAMETER_CHARS = 1024
MAX_LIST_ITEMS = 16
MAX_ERROR_BYTES = 16 * 1024
#: The bound of a progress message.
MAX_PROGRESS_CHARS = 1024
#: The bound of a traceback as a JSON text.
MAX_TRACEBACK_BYTES = 8 * 1024
#: The bound of the last log lines of a failed attempt as a JSON text.
MAX_LOG_TAIL_BYTES = 8 * 1024
#: The bound of a sealed text, except for a payload and a definition. A plain text of
#: `MAX_ERROR_BYTES` fits, although base64 makes it a third longer.
MAX_SEALED_CHARS = 24 * 1024
#: The bound of a sealed payload or definition: no record of Kafka is larger.
MAX_SEALED_CONTENT_CHARS = 2**30
#: The bound of an id, such as an executor's, and of a name, such as a job type.
MAX_NAME_CHARS = 128
#: The bound of attempts, failures and slots: the largest number that 32 bits hold with a sign.
MAX_COUNT = 2**31 - 1
#: The bound of a time in a policy, in seconds: more than 68 years.
MAX_POLICY_S = 2**31 - 1
#: The bound of the factor by which each backoff is longer than the one before.
MAX_BACKOFF_MULTIPLIER = 1_000_000
#: The first time that an event or a heartbeat may carry, and the time that all of them are before.
MIN_TIME = datetime(2000, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)

#: A time with its zone; RFC 3339 on the wire. msgspec can't bound a time: `decode` does.
Timestamp = Annotated[
    datetime, Meta(tz=True, description="A time from the year 2000 to the year 2199.")
]
#: A number of something, from 0.
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
#: The number of an attempt, from 1.
AttemptNumber = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
#: An id or a name, which is not empty.
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
#: An id or a text of a request, which may be empty.
ShortText = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
#: A GUID in lower case with hyphens. `decode` verifies the GUIDs of a record at once, because that
#: takes a fifth of the time that msgspec needs for a pattern on each.
Guid = Annotated[
    str, Meta(max_length=GUID_CHARS, extra_json_schema={"pattern": f"^{CANONICAL_GUID}$"})
]
#: A secret that a facade has sealed: `1:KEY_ID:BASE64`. Only facades can open it.
SealedText = Annotated[str, Meta(max_length=MAX_SEALED_CHARS)]
#: A sealed payload or definition.
SealedContent = Annotated[str, Meta(max_length=MAX_SEALED_CONTENT_CHARS)]
#: The code of an error.
_Code = Annotated[str, Meta(max_length=MAX_CODE_CHARS)]
#: The message of an error.
_Message = Annotated[str, Meta(max_length=MAX_MESSAGE_CHARS)]
#: A value that the message of an error names.
_Parameter = Annotated[str, Meta(max_length=MAX_PARAMETER_CHARS)]
#: Values that the message of an error names.
_Parameters = Annotated[tuple[_Parameter, ...], Meta(max_length=MAX_LIST_ITEMS)]
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


class ErrorSource(StrEnum):
    """Who caused an error (WDK `ErrorSource`).

    It never gets more members, because Fabric knows these three only, and an older replica cannot
    fold an unknown one.
    """

    SYSTEM = "System"
    USER = "User"
    EXTERNAL = "External"


class NameValuePair(Struct, frozen=True, rename="camel"):
    """A named value in the details of an error (WDK `NameValuePair`)."""

    name: _Parameter
    value: _Parameter


class ErrorExtendedInformation(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """A further error in the details of an error (WDK `ErrorExtendedInformation`)."""

    #: A stable name of the kind of error.
    error_code: _Code
    #: What happened, for people.
    message: _Message
    #: Values that the message names.
    message_parameters: _Parameters = ()
    #: Named values, such as the number of the attempt that failed.
    additional_parameters: Annotated[
        tuple[NameValuePair, ...], Meta(max_length=MAX_LIST_ITEMS)
    ] = ()
    #: The message and the values, if they are sealed. Then `message` is empty.
    sealed: SealedText | None = None

    def truncate(self) -> "ErrorExtendedInformation":
        """Returns the error with each text and list cut to its bound."""
        return ErrorExtendedInformation(
            error_code=self.error_code[:MAX_CODE_CHARS],
            message=self.message[:MAX_MESSAGE_CHARS],
            message_parameters=_truncate_all(self.message_parameters),
            additional_parameters=tuple(
                NameValuePair(pair.name[:MAX_PARAMETER_CHARS], pair.value[:MAX_PARAMETER_CHARS])
                for pair in self.additional_parameters[:MAX_LIST_ITEMS]
            ),
            sealed=self.sealed,
        )


class ErrorResponse(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An error (WDK `ErrorResponse`): of a job, or the body of an HTTP error."""

    #: A stable name of the kind of error, at most 128 characters in an event.
    error_code: _Code
    #: What happened and what to do, for people; at most 2,048 characters in an event.
    message: _Message
    #: Who caused the error.
    source: ErrorSource
    #: Whether another try can't succeed.
    is_permanent: bool | None = None
    #: Values that the message names, at most 16 in an event.
    message_parameters: _Parameters = ()
    #: Further errors, such as those of earlier attempts; at most 16 in an event.
    more_details: Annotated[
        tuple[ErrorExtendedInformation, ...], Meta(max_length=MAX_LIST_ITEMS)
    ] = ()
    #: The message and the values that it names, if they are sealed. Then `message` is empty. Each
    #: further error has a sealed text of its own. No answer to Fabric has this field.
    sealed: SealedText | None = None

    def truncate(self) -> "ErrorResponse":
        """Returns the error cut to its bounds: first the texts and lists, then the last details."""
        error = replace(
            self,
            error_code=self.error_code[:MAX_CODE_CHARS],
            message=self.message[:MAX_MESSAGE_CHARS],
            message_parameters=_truncate_all(self.message_parameters),
            more_details=tuple(one.truncate() for one in self.more_details[:MAX_LIST_ITEMS]),
        )
        while len(msgspec.json.encode(error)) > MAX_ERROR_BYTES:
            if error.more_details:
                error = replace(error, more_details=error.more_details[:-1])
            else:
                error = replace(error, message_parameters=error.message_parameters[:-1])
        return error


def _truncate_all(parameters: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an error's message, cut to their bounds."""
    return tuple(one[:MAX_PARAMETER_CHARS] for one in parameters[:MAX_LIST_ITEMS])


def truncate_traceback(text: str) -> str:
    """Returns the end of a traceback, at most `MAX_TRACEBACK_BYTES` as a JSON text.

    The end is kept, because it names the exception.
    """
    return truncate_to_end(text, MAX_TRACEBACK_BYTES)


def truncate_to_end(text: str, max_bytes: int) -> str:
    """Returns the end of a text, at most this many bytes as a JSON text."""
    text = text[-max_bytes:]
    while (excess := len(msgspec.json.encode(text)) - max_bytes) > 0:
        # A character takes at most 6 bytes in JSON.
        text = text[excess // 6 + 1 :]
    return text


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
