"""The events on the wire, checked against golden files that are never regenerated.

`golden` has a folder for each released version, with one event of each type that it writes. A
release adds a folder and changes none. `later` holds events that a future version may write.
"""

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorSource
from fabric_jobs.contract.events import (
    Event,
    KnownEvent,
    NotAnEventError,
    UnknownEvent,
    decode,
    encode,
)
from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, JobPhase
from tests.support.golden import GOLDEN, KINDS, LATER, VERSION, changed, golden, without
from tests.support.lifecycle import TENANT

WRITTEN = sorted(GOLDEN.glob("*/*.json"))
#: The members of the enumerations that the fold reads. They never change.
CLOSED = {
    JobInstanceStatus: "NotStarted InProgress Completed Failed Cancelled",
    JobPhase: "Queued Running Stopping Waiting Ended",
    ErrorSource: "System User External",
}
ATTRIBUTES = {"id", "source", "subject", "time", "type", "specversion", "datacontenttype"}


def lacks(known: Any, value: Any) -> list[str]:
    """Returns the paths, such as `data.state.phase`, of what `known` has and `value` lacks."""
    if isinstance(known, dict) and isinstance(value, dict):
        return [
            ".".join(filter(None, (key, rest)))
            for key in known
            for rest in (lacks(known[key], value[key]) if key in value else [""])
        ]
    if isinstance(known, list) and isinstance(value, list) and len(known) == len(value):
        return [place for pair in zip(known, value, strict=True) for place in lacks(*pair)]
    return [] if known == value else [""]


def test_golden_files_of_the_current_version_cover_every_event_type() -> None:
    """A new event type needs a golden file, and a release needs a folder."""
    assert set(KINDS.values()) == set(KnownEvent.__args__)
    assert {path.stem for path in (GOLDEN / VERSION).iterdir()} == {
        f"fabric.jobs.{name}" for name in KINDS
    }


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_record_of_any_version_decodes_and_keeps_every_field_of_this_version(path: Path) -> None:
    """Of a record of a later version, only the new fields are lost."""
    value = path.read_bytes()
    event = decode(value)
    assert events.type_of(event) == path.stem
    assert isinstance(event, UnknownEvent) == (path.stem == f"fabric.jobs.{LATER}")
    lost = lacks(json.loads(value), json.loads(encode(event)))
    assert bool(lost) == (path.parent.name == "later")
    assert {place.rpartition(".")[2] for place in lost} <= {
        *("dataschema", "helpLink", "kind", "priority", "queue", "severity", "tags", "unit"),
        "until",
    }


@pytest.mark.parametrize("name", KINDS)
def test_golden_record_decodes_to_its_type_and_encodes_to_the_same_bytes(name: str) -> None:
    """This version writes the same bytes as when the file was made."""
    event = decode(golden(name))
    assert type(event) is KINDS[name]
    assert events.type_of(event) == f"fabric.jobs.{name}"
    assert encode(event) == golden(name)


@pytest.mark.parametrize("name", [*KINDS, LATER])
def test_record_is_a_cloudevent_with_the_job_id_as_subject(name: str) -> None:
    """It is CloudEvents 1.0 in structured JSON."""
    envelope = json.loads(golden(name))
    assert envelope.keys() >= ATTRIBUTES | {"data"}
    assert envelope["specversion"] == "1.0"
    assert envelope["type"] == f"fabric.jobs.{name}"
    assert envelope["datacontenttype"] == "application/json"
    assert envelope["subject"] == "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
    assert datetime.fromisoformat(envelope["time"]).tzinfo == UTC
    assert events.CONTENT_TYPE.startswith("application/cloudevents+json")
    # By CloudEvents, attribute names are lower-case letters and digits.
    assert all(key.isalnum() and key == key.lower() for key in envelope)


@pytest.mark.parametrize("name", [*KINDS, LATER])
def test_event_has_the_fields_that_never_change(name: str) -> None:
    """Every event has sequence, follows and state. Only an event that dispatches has a dispatch."""
    event = decode(golden(name))
    assert event.data.sequence >= 1
    assert (event.data.follows is None) == (event.data.sequence == 1)
    assert event.data.state.tenant_id == TENANT
    assert (event.data.dispatch is not UNSET) == (name in ("requested", "requeued"))


def test_record_of_an_unknown_type_decodes_as_unknown_event_with_what_a_fold_needs() -> None:
    """Unknown fields in the envelope, the data and the state are ignored."""
    event = decode(golden(LATER))
    assert isinstance(event, UnknownEvent)
    assert (event.type, events.type_of(event)) == ("fabric.jobs.paused",) * 2
    assert (event.data.sequence, event.data.follows) == (7, "7a1c0000-0000-4000-8000-000000000006")
    assert (event.data.state.phase, event.data.state.attempt) == (JobPhase.RUNNING, 2)
    assert event.traceparent is not UNSET


def test_record_of_a_known_type_with_unknown_fields_decodes_without_them() -> None:
    """A later version may add fields."""
    event = decode(changed("started", "data.state.priority", "high"))
    assert event == decode(golden("started"))


def test_record_with_an_unknown_reason_and_invoke_type_keeps_both() -> None:
    """The event decodes to its type. An executor sees the invoke type as UNKNOWN_FUTURE_VALUE."""
    event = decode(golden("requeued", "later"))
    assert isinstance(event, events.Requeued)
    assert (event.data.reason, event.data.state.invoke_type) == ("Preempted", "OnDemand")
    assert decode(encode(event)) == event
    assert InvokeType.parse(event.data.state.invoke_type) is InvokeType.UNKNOWN_FUTURE_VALUE
    assert InvokeType.parse("Scheduled") is InvokeType.SCHEDULED


@pytest.mark.parametrize("enumeration", CLOSED, ids=lambda kind: kind.__name__)
def test_enumeration_that_the_fold_reads_never_changes(enumeration: type[StrEnum]) -> None:
    """An older replica cannot decode a new member, and would see a fork after it.

    Add a new field instead.
    """
    assert " ".join(enumeration) == CLOSED[enumeration]


def test_payload_passes_through_an_event_byte_for_byte() -> None:
    """Blanks and the spelling of numbers are the same in the request and at the executor."""
    spelled = b'{ "n": 1.50e3,\n "big": 123456789012345678901234567890 }'
    event = decode(golden("requested").replace(b'{"rows":[1,2,3]}', spelled))
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == spelled
    assert spelled in encode(event)


JUNK: dict[str, bytes | None] = {
    "a tombstone": None,
    "an empty value": b"",
    "not JSON": b"job started",
    "not UTF-8": b"\xff\xfe",
    "not UTF-8 in a text": golden("started").replace(b"executor-a", b"executor-\xff"),
    "not an object": b"[]",
    "an empty object": b"{}",
    "cut off": golden("started")[:-1],
    "bytes after the object": golden("started") + b"x",
    "a byte order mark": b"\xef\xbb\xbf" + golden("started"),
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a deep payload": golden("requested").replace(b"[1,2,3]", b"[" * 50_000 + b"]" * 50_000),
    "no type": without("started", "type"),
    "a type that is a number": changed("started", "type", 3),
    "another specversion": changed("started", "specversion", "0.3"),
    "another content type": changed("started", "datacontenttype", "application/xml"),
    "no id": without("started", "id"),
    "no subject": without("started", "subject"),
    "a time without a zone": changed("started", "time", "2026-01-01T00:00:00"),
    "a day that does not exist": changed("started", "time", "2026-02-31T00:00:00Z"),
    "no data": without("started", "data"),
    "data that is a text": changed("started", "data", "later"),
    "no sequence": without("started", "data.sequence"),
    "a sequence that is a text": changed("started", "data.sequence", "2"),
    "a sequence that is a fraction": changed("started", "data.sequence", 2.5),
    "a sequence above 64 bits": golden("started").replace(
        b'"sequence":2', b'"sequence":' + b"9" * 5_000
    ),
    "no follows": without("started", "data.follows"),
    "no state": without("started", "data.state"),
    "an unknown phase": changed("started", "data.state.phase", "Sleeping"),
    "an unknown status": changed("started", "data.state.status", "Deduped"),
    "progress above one": changed("progressed", "data.state.progress.fraction", 1.5),
    "a missing error": without("attempt-failed", "data.error"),
    "a missing reason": without("requeued", "data.reason"),
    "an unknown type without state": without(LATER, "data.state"),
    "an unknown type without sequence": without(LATER, "data.sequence"),
    "an unknown type with bad state": changed(LATER, "data.state.attempt", "two"),
}


@pytest.mark.parametrize("value", JUNK.values(), ids=JUNK)
def test_decode_of_a_value_that_is_not_an_event_raises_not_an_event_error(
    value: bytes | None,
) -> None:
    """A reader has one error to catch for every kind of bad record."""
    with pytest.raises(NotAnEventError) as refused:
        decode(value)
    assert str(refused.value)


def test_decode_of_a_known_type_with_bad_data_raises_an_error_that_names_the_field() -> None:
    """Such a record does not decode as an unknown event."""
    with pytest.raises(NotAnEventError, match=r"data\.reason"):
        decode(changed("requeued", "data.reason", 7))


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    name=st.sampled_from([*KINDS, LATER]),
    at=st.integers(0, 1_300),
    length=st.integers(0, 4),
    noise=st.binary(max_size=4),
)
def test_decode_of_a_damaged_record_returns_an_event_or_raises_not_an_event_error(
    name: str, at: int, length: int, noise: bytes
) -> None:
    """Overwriting a few bytes anywhere never leads to another error."""
    value = golden(name)
    damaged = value[:at] + noise + value[at + length :]
    try:
        event: Event | None = decode(damaged)
    except NotAnEventError:
        event = None
    assert event is None or decode(encode(event)) == event
