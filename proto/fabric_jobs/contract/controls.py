"""The operators' controls on their topic: which job types are paused. The topic is internal.

The topic is compacted. The key of a record is its job type, and of the records with one key the
last one applies.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.scalars import END_OF_TIME, MIN_TIME, Timestamp

CONTROLS_TOPIC = "fabric.jobs.controls"
#: Bounds of the texts of a control, in characters.
MAX_REASON_CHARS = 512
MAX_NAME_CHARS = 256


class JobTypeControl(Struct, frozen=True, kw_only=True, rename="camel"):
    """An operator paused a job type, or resumed it."""

    #: The item type and job type.
    kind: JobKind
    #: Whether facades grant no claim of this type.
    paused: bool
    #: Why, in the operator's words.
    reason: Annotated[str, Meta(max_length=MAX_REASON_CHARS)] = ""
    #: Who did it.
    by: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""
    #: When, by the clock of the replica that wrote it.
    time: Timestamp


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(JobTypeControl)


def key_of(kind: JobKind) -> bytes:
    """Returns the key of a job type's records."""
    return _encoder.encode(kind)


def encode(control: JobTypeControl) -> bytes:
    """Returns the value of the control's record."""
    return _encoder.encode(control)


def decode_record(key: bytes | None, value: bytes | None) -> JobTypeControl | None:
    """Returns the control in a record, or None if the record is not a control under its key.

    Under another key, compaction would keep the record beside the later control of its job type.
    """
    try:
        control = _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not MIN_TIME <= control.time < END_OF_TIME or key != key_of(control.kind):
        return None
    return control
