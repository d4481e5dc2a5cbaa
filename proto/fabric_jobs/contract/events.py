"""The events on the topic: CloudEvents 1.0 in structured JSON, a tagged union by `type`.

Three things never change form between versions, so that replicas of different versions fold
alike: `sequence` with `follows`, the job's `state` after the event, and `dispatch` on events that
dispatch. An event of a type that this version does not know decodes as `UnknownEvent`, with those.

docs/subscribe.md says what else may change. A field whose values may grow in number is a text here:
a value of a later version must not make a record that cannot be folded.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fabric_jobs.contract.jobs import ErrorResponse, JobState, Timestamp

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


class Dispatch(Struct, frozen=True, rename="camel"):
    """What an executor needs to run the job, beside its state."""

    #: The creation payload, as JSON; `null` where the request had none.
    payload: Raw


class EventData(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every event carries."""

    #: 1 for a job's first event, then one more each time: the log's compare-and-swap.
    sequence: int
    #: The id of the event it was decided on; none for the first.
    follows: str | None
    state: JobState
    #: Present exactly where the event dispatches an attempt.
    dispatch: Dispatch | UnsetType = UNSET


class FailedData(EventData, frozen=True, kw_only=True, rename="camel"):
    """A failure, for those who wrote the handler; the state's error is for its users."""

    #: Where the handler raised, as its language prints it, at most 8 KiB from its end; absent where
    #: nothing was raised, or not told. Fabric is not told either.
    traceback: str | UnsetType = UNSET


class AttemptFailedData(FailedData, frozen=True, kw_only=True, rename="camel"):
    """The state's due time says when the next attempt is dispatched."""

    error: ErrorResponse


class RequeueReason(StrEnum):
    """Why an attempt was dispatched again; a later version may have more reasons."""

    #: The backoff after a failed attempt is over.
    RETRY_DUE = "RetryDue"
    #: The executor gave the run back, as at its drain; no failure is counted.
    HANDED_BACK = "HandedBack"
    #: The executor was not heard of for a lease; counts as a failure.
    LEASE_LOST = "LeaseLost"


class RequeuedData(EventData, frozen=True, kw_only=True, rename="camel"):
    """A further attempt, dispatched."""

    #: A `RequeueReason`, or a later version's.
    reason: Annotated[str, Meta(examples=list(RequeueReason))]


class _Envelope(Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0 attributes, in its JSON spelling."""

    id: str
    #: The replica that decided, as a URI reference.
    source: str
    #: The job instance id.
    subject: str
    #: The deciding replica's clock; the record's own time is the broker's.
    time: Timestamp
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
    #: W3C Trace Context of the request that created the job, where there was one.
    traceparent: str | UnsetType = UNSET


class Requested(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.requested"
):
    """A job was accepted, and its first attempt dispatched."""

    data: EventData


class Started(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.started"):
    """The current attempt was granted to an executor; the state says which, and its policy."""

    data: EventData


class Progressed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.progressed"
):
    """The run said how far it is."""

    data: EventData


class AttemptFailed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.attempt-failed"
):
    """An attempt failed and another will follow: not final."""

    data: AttemptFailedData


class Requeued(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.requeued"):
    """A further attempt was dispatched."""

    data: RequeuedData


class CancelRequested(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.cancel-requested"
):
    """A running job was asked to stop."""

    data: EventData


class Completed(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.completed"
):
    """Final: the handler returned."""

    data: EventData


class Failed(_Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.failed"):
    """Final: `state.error` says why."""

    data: FailedData


class Cancelled(
    _Envelope, frozen=True, kw_only=True, tag_field="type", tag="fabric.jobs.cancelled"
):
    """Final: cancelled before it ran, or stopped while it ran."""

    data: EventData


class UnknownEvent(_Envelope, frozen=True, kw_only=True):
    """An event of a later version's type: it advances the job, and is decided upon elsewhere."""

    type: str
    data: EventData


KnownEvent = (
    Requested
    | Started
    | Progressed
    | AttemptFailed
    | Requeued
    | CancelRequested
    | Completed
    | Failed
    | Cancelled
)
Event = KnownEvent | UnknownEvent


class NotAnEventError(ValueError):
    """The record is no event of this contract: skip and count it, it must stop no reader."""


class _Types:
    """The tags that this version knows, with the decoders made once."""

    known: ClassVar[dict[str, type]] = {
        str(kind.__struct_config__.tag): kind for kind in KnownEvent.__args__
    }
    tags: ClassVar[dict[type, str]] = {kind: tag for tag, kind in known.items()}
    union: msgspec.json.Decoder[KnownEvent] = msgspec.json.Decoder(KnownEvent)
    unknown = msgspec.json.Decoder(UnknownEvent)
    encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """The record's value."""
    return _Types.encoder.encode(event)


def decode(value: bytes | None) -> Event:
    """The event in a record's value. Raises `NotAnEventError`."""
    try:
        return _Types.union.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        failure = error
    try:
        event = _Types.unknown.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotAnEventError(str(failure)) from failure
    if event.type in _Types.known:
        raise NotAnEventError(str(failure)) from failure
    return event


def type_of(event: Event) -> str:
    """The event's CloudEvents type."""
    return event.type if isinstance(event, UnknownEvent) else _Types.tags[type(event)]
