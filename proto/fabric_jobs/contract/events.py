"""The job events: CloudEvents 1.0 in structured JSON, a union of types that `type` tells apart.

Four fields of `data` keep their form in every version, so that replicas of different versions fold
alike: `sequence`, `follows`, `state` and, on events that dispatch an attempt, `dispatch`. An event
of a type that this version does not know decodes as `UnknownEvent`, with these four fields.

Secrets may be sealed: payload, definition, checkpoint, and the texts of errors, progress,
tracebacks and logs. Each then lies in a field beside its own, whose name begins with `sealed`.
Later events carry a sealed text unchanged, so no replica opens one to fold an event.

docs/subscribe.md says what a later version may change. A field that may get new values later is a
plain text here, because a replica must be able to fold a record with an unknown value.

Every field has a bound in its type. `decode` refuses what is outside, so what it returns can be
folded, stored, shown and sent by every replica. No later version changes a bound, because replicas
of different versions must refuse the same records.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fabric_jobs.contract.checkpoints import verify_checkpoint
from fabric_jobs.contract.errors import MAX_LOG_TAIL_BYTES, MAX_TRACEBACK_BYTES, ErrorResponse
from fabric_jobs.contract.guids import are_canonical_guids
from fabric_jobs.contract.jobs import JobState
from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep
from fabric_jobs.contract.scalars import (
    END_OF_TIME,
    MIN_TIME,
    Guid,
    Name,
    SealedContent,
    SealedText,
    ShortText,
    Timestamp,
)

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
#: The bound of an event's `source`.
MAX_SOURCE_CHARS = 512
#: The bound of a sequence: the largest number that every JSON reader holds exactly.
MAX_SEQUENCE = 2**53 - 1
#: The levels of an event around its payload.
_ENVELOPE_NESTING = 3
#: Around its payload, an event of this size can't be nested so deeply that a decoder refuses it.
_SHALLOW_BYTES = 2048


class Dispatch(Struct, frozen=True, rename="camel"):
    """What an executor needs to run the job, in addition to the job's state."""

    #: The creation payload as JSON, at most 64 levels deep; `null` if the request had none.
    payload: Raw
    #: The item's definition as JSON, an object with `parts`; absent if the request had none.
    definition: Raw | UnsetType = UNSET
    #: The last checkpoint of the earlier attempts as JSON of at most 16 KiB; absent if there is
    #: none.
    checkpoint: Raw | UnsetType = UNSET
    #: The payload, if it is sealed. Then `payload` is `null`. The executor gets sealed
    #: content from a facade, in the answer that grants its claim.
    sealed_payload: SealedContent | UnsetType = UNSET
    #: The definition, if it is sealed. Then `definition` is absent.
    sealed_definition: SealedContent | UnsetType = UNSET
    #: The checkpoint, if it is sealed. Then `checkpoint` is absent.
    sealed_checkpoint: SealedText | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuses a checkpoint that is out of bounds, also in a record."""
        if self.checkpoint is not UNSET:
            verify_checkpoint(bytes(self.checkpoint))


class EventData(Struct, frozen=True, kw_only=True, rename="camel"):
    """The data of every event."""

    #: The number of the event among the job's events, from 1. An event applies only if its sequence
    #: is the job's current one plus one, so the sequence works as a compare-and-swap.
    sequence: Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)]
    #: The id of the job's event before this one; `null` for the first.
    follows: Name | None
    #: The job's state after the event.
    state: JobState
    #: Present if, and only if, the event dispatches an attempt.
    dispatch: Dispatch | UnsetType = UNSET


class FailedData(EventData, frozen=True, kw_only=True, rename="camel"):
    """The data of an event that reports a failure; `state.error` is what users see."""

    #: The handler's traceback, for the handler's developers: the last 8 KiB at most. Absent if the
    #: handler raised nothing or the executor sent no traceback. Fabric does not receive it.
    traceback: Annotated[str, Meta(max_length=MAX_TRACEBACK_BYTES)] | UnsetType = UNSET
    #: The last lines that the handler logged: the last 8 KiB at most. Absent if there are none.
    #: Fabric does not receive it.
    log_tail: Annotated[str, Meta(max_length=MAX_LOG_TAIL_BYTES)] | UnsetType = UNSET
    #: The traceback, if it is sealed.
    sealed_traceback: SealedText | UnsetType = UNSET
    #: The last lines of the log, if they are sealed.
    sealed_log_tail: SealedText | UnsetType = UNSET


class AttemptFailedData(FailedData, frozen=True, kw_only=True, rename="camel"):
    """The data of `AttemptFailed`; `state.dueTime` says when the next attempt is dispatched."""

    #: The error of the attempt that failed.
    error: ErrorResponse


class CheckpointedData(EventData, frozen=True, kw_only=True, rename="camel"):
    """The data of `Checkpointed`."""

    #: The value that the handler saved, as JSON of at most 16 KiB; `null` if it is sealed.
    checkpoint: Raw
    #: The value, if it is sealed.
    sealed_checkpoint: SealedText | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuses a checkpoint that is out of bounds, also in a record."""
        verify_checkpoint(bytes(self.checkpoint))


class RequeueReason(StrEnum):
    """Why a further attempt was dispatched. A later version may have more reasons."""

    #: The backoff after a failed attempt is over.
    RETRY_DUE = "RetryDue"
    #: The executor gave the run back, for example because it stops. This is not a failure.
    HANDED_BACK = "HandedBack"
    #: The executor sent no heartbeat for the length of a lease. This counts as a failure.
    LEASE_LOST = "LeaseLost"


class RequeuedData(EventData, frozen=True, kw_only=True, rename="camel"):
    """The data of `Requeued`."""

    #: Why the attempt was dispatched: a `RequeueReason`, or a reason of a later version.
    reason: Annotated[ShortText, Meta(examples=list(RequeueReason))]


class _Envelope(Struct, frozen=True, kw_only=True):
    """The CloudEvents 1.0 attributes."""

    #: The id of the event: any text, which no other event has. Facades write a GUID.
    id: Name
    #: The facade replica that decided the event, as a URI reference.
    source: Annotated[str, Meta(max_length=MAX_SOURCE_CHARS)]
    #: The job instance id. The record's key is the same text.
    subject: Guid
    #: When the event was decided, by the clock of the replica in `source`. The record's own time is
    #: the broker's.
    time: Timestamp
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
    #: The W3C Trace Context of the request that created the job; absent if it had none.
    traceparent: ShortText | UnsetType = UNSET


class Requested(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.requested"
):
    """A job was accepted and its first attempt dispatched."""

    data: EventData


class Started(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.started"):
    """The current attempt was granted to the executor that `state.executorId` names."""

    data: EventData


class Progressed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.progressed"
):
    """The running attempt reported its progress."""

    data: EventData


class Checkpointed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.checkpointed"
):
    """The running attempt saved a value, which the next attempt's dispatch will carry."""

    data: CheckpointedData


class AttemptFailed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.attempt-failed"
):
    """An attempt failed and another attempt will follow. The job is not final."""

    data: AttemptFailedData


class Requeued(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.requeued"):
    """A further attempt was dispatched."""

    data: RequeuedData


class CancelRequested(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.cancel-requested"
):
    """A cancel was requested for a running job."""

    data: EventData


class Completed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.completed"
):
    """The job is final: its handler returned."""

    data: EventData


class Failed(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.failed"):
    """The job is final: it failed, and `state.error` says why."""

    data: FailedData


class Cancelled(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.cancelled"
):
    """The job is final: it was cancelled before or while it ran."""

    data: EventData


class UnknownEvent(_Envelope, frozen=True, kw_only=True):
    """An event of a type of a later version. It advances the job's sequence and state.

    Only a replica that knows the type decides about the job after it.
    """

    #: The CloudEvents type.
    type: Name
    data: EventData


KnownEvent = (
    Requested
    | Started
    | Progressed
    | Checkpointed
    | AttemptFailed
    | Requeued
    | CancelRequested
    | Completed
    | Failed
    | Cancelled
)
Event = KnownEvent | UnknownEvent


class NotAnEventError(ValueError):
    """A record's value is not an event of this contract. A reader skips and counts the record."""


class _Types:
    """The event types that this version knows, and decoders that are built once."""

    known: ClassVar[dict[str, type]] = {
        str(kind.__struct_config__.tag): kind for kind in KnownEvent.__args__
    }
    tags: ClassVar[dict[type, str]] = {kind: tag for tag, kind in known.items()}
    union: msgspec.json.Decoder[KnownEvent] = msgspec.json.Decoder(KnownEvent)
    unknown = msgspec.json.Decoder(UnknownEvent)
    encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """Returns the value of the event's record."""
    return _Types.encoder.encode(event)


def decode_record(key: bytes | None, value: bytes | None) -> Event:
    """Returns the event in a record. Raises `NotAnEventError`, also if the key is not its job's."""
    event = decode(value)
    if key != event.subject.encode():
        raise NotAnEventError("The record's key is not the event's subject.")
    return event


def decode(value: bytes | None) -> Event:
    """Returns the event in a record's value. Raises `NotAnEventError`.

    A reader of the topic calls `decode_record`.
    """
    value = value or b""
    event = _decode(value)
    _check_times(event)
    _check_guids(event)
    payload_bytes = 0
    if event.data.dispatch is not UNSET:
        payload = bytes(event.data.dispatch.payload)
        payload_bytes = len(payload)
        if is_too_deep(payload):
            raise NotAnEventError(f"The payload has more than {MAX_NESTING} levels of JSON.")
    # Deep JSON in a field of a later version, which one decoder would refuse and another would not.
    if len(value) - payload_bytes > _SHALLOW_BYTES and is_too_deep(
        value, MAX_NESTING + _ENVELOPE_NESTING
    ):
        raise NotAnEventError(f"The event has more than {MAX_NESTING} levels of JSON.")
    return event


def _decode(value: bytes) -> Event:
    try:
        return _Types.union.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        failure = error
    try:
        event = _Types.unknown.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotAnEventError(str(failure)) from failure
    if event.type in _Types.known:
        raise NotAnEventError(str(failure)) from failure
    return event


def _check_times(event: Event) -> None:
    """Raises `NotAnEventError` if a time is out of bounds."""
    state = event.data.state
    if not (
        MIN_TIME <= event.time < END_OF_TIME
        and MIN_TIME <= state.create_time < END_OF_TIME
        and ((time := state.start_time) is None or MIN_TIME <= time < END_OF_TIME)
        and ((time := state.attempt_start_time) is None or MIN_TIME <= time < END_OF_TIME)
        and ((time := state.cancel_time) is None or MIN_TIME <= time < END_OF_TIME)
        and ((time := state.due_time) is None or MIN_TIME <= time < END_OF_TIME)
        and ((time := state.dispatch_time) is None or MIN_TIME <= time < END_OF_TIME)
        and ((time := state.end_time) is None or MIN_TIME <= time < END_OF_TIME)
    ):
        raise NotAnEventError("A time is not from the year 2000 to the year 2199.")


def _check_guids(event: Event) -> None:
    """Raises `NotAnEventError` if an id of the job is not a GUID in lower case."""
    state = event.data.state
    guids = [event.subject, state.tenant_id, state.workspace_id, state.item_id]
    if state.retry_of is not None:
        guids.append(state.retry_of)
    if not are_canonical_guids(guids):
        raise NotAnEventError(
            "The subject, tenantId, workspaceId, itemId or retryOf is not a GUID in lower case."
        )


def type_of(event: Event) -> str:
    """Returns the CloudEvents type of the event."""
    return event.type if isinstance(event, UnknownEvent) else _Types.tags[type(event)]
