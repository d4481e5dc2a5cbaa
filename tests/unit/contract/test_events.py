"""The events on the wire, against files that were written once and are never regenerated.

`golden` has a folder for each version: what it writes. A release gets one more, and changes none.
`later` holds what a version to come may write.
"""

import json
import tomllib
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from fabric_jobs.contract import events
from fabric_jobs.contract.events import (
    Event,
    KnownEvent,
    NotAnEventError,
    UnknownEvent,
    decode,
    encode,
)
from fabric_jobs.contract.jobs import ErrorSource, InvokeType, JobInstanceStatus, JobPhase
from tests.support.paths import ROOT

GOLDEN = Path(__file__).parent / "golden"
PYPROJECT = ROOT / "pyproject.toml"
VERSION = tomllib.loads(PYPROJECT.read_text())["project"]["version"].rpartition(".")[0]
KINDS: dict[str, type[KnownEvent]] = {
    "requested": events.Requested,
    "started": events.Started,
    "progressed": events.Progressed,
    "attempt-failed": events.AttemptFailed,
    "requeued": events.Requeued,
    "cancel-requested": events.CancelRequested,
    "completed": events.Completed,
    "failed": events.Failed,
    "cancelled": events.Cancelled,
}
LATER = "paused"
WRITTEN = sorted(GOLDEN.glob("*/*.json"))
#: The enumerations that the fold reads: their members, for ever.
CLOSED = {
    JobInstanceStatus: "NotStarted InProgress Completed Failed Cancelled",
    JobPhase: "Queued Running Stopping Waiting Ended",
    ErrorSource: "System User External",
}
ATTRIBUTES = {"id", "source", "subject", "time", "type", "specversion", "datacontenttype"}


def golden(name: str, version: str = "") -> bytes:
    """The record's value as the file has it, without the line's end."""
    version = version or ("later" if name == LATER else VERSION)
    return (GOLDEN / version / f"fabric.jobs.{name}.json").read_bytes().removesuffix(b"\n")


def lacks(known: Any, value: Any) -> list[str]:
    """Where the one value lacks what the other one knows, as `data.state.phase`."""
    if isinstance(known, dict) and isinstance(value, dict):
        return [
            ".".join(filter(None, (key, rest)))
            for key in known
            for rest in (lacks(known[key], value[key]) if key in value else [""])
        ]
    if isinstance(known, list) and isinstance(value, list) and len(known) == len(value):
        return [place for pair in zip(known, value, strict=True) for place in lacks(*pair)]
    return [] if known == value else [""]


def changed(name: str, path: str, value: object) -> bytes:
    """The golden record with one field, as `data.state.phase`, set to another value."""
    whole: Any = json.loads(golden(name))
    part = whole
    *parents, last = path.split(".")
    for parent in parents:
        part = part[parent]
    part[last] = value
    return json.dumps(whole).encode()


def without(name: str, path: str) -> bytes:
    """The golden record without one field."""
    whole: Any = json.loads(golden(name))
    part = whole
    *parents, last = path.split(".")
    for parent in parents:
        part = part[parent]
    del part[last]
    return json.dumps(whole).encode()


def test_todays_version_has_one_golden_file_for_each_type() -> None:
    """A type added to the contract needs a file, a release a folder; none goes unnoticed."""
    assert set(KINDS.values()) == set(KnownEvent.__args__)
    assert {path.stem for path in (GOLDEN / VERSION).iterdir()} == {
        f"fabric.jobs.{name}" for name in KINDS
    }


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_any_version_wrote_is_read_and_all_that_is_known_of_it_is_kept(path: Path) -> None:
    """Of an earlier version everything; of a later one, its fields alone are passed by."""
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
def test_a_golden_record_decodes_to_its_kind_and_encodes_to_the_same_bytes(name: str) -> None:
    """What was once written to the topic is read, and would be written so today."""
    event = decode(golden(name))
    assert type(event) is KINDS[name]
    assert events.type_of(event) == f"fabric.jobs.{name}"
    assert encode(event) == golden(name)


@pytest.mark.parametrize("name", [*KINDS, LATER])
def test_a_record_is_a_cloudevent(name: str) -> None:
    """CloudEvents 1.0 in structured JSON, its subject the job's canonical id."""
    envelope = json.loads(golden(name))
    assert envelope.keys() >= ATTRIBUTES | {"data"}
    assert envelope["specversion"] == "1.0"
    assert envelope["type"] == f"fabric.jobs.{name}"
    assert envelope["datacontenttype"] == "application/json"
    assert envelope["subject"] == "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
    assert datetime.fromisoformat(envelope["time"]).tzinfo == UTC
    assert events.CONTENT_TYPE.startswith("application/cloudevents+json")
    # CloudEvents: attribute names are lower-case letters and digits.
    assert all(key.isalnum() and key == key.lower() for key in envelope)


@pytest.mark.parametrize("name", [*KINDS, LATER])
def test_every_event_carries_what_never_changes_form(name: str) -> None:
    """Sequence, follows and the state are there; a dispatch where, and only where, one is made."""
    event = decode(golden(name))
    assert event.data.sequence >= 1
    assert (event.data.follows is None) == (event.data.sequence == 1)
    assert event.data.state.tenant_id == "tenant"
    assert (event.data.dispatch is not UNSET) == (name in ("requested", "requeued"))


def test_a_later_type_with_later_fields_decodes_as_unknown_with_all_that_a_fold_needs() -> None:
    """Fields that this version doesn't know are passed by, in the envelope, data and state."""
    event = decode(golden(LATER))
    assert isinstance(event, UnknownEvent)
    assert (event.type, events.type_of(event)) == ("fabric.jobs.paused",) * 2
    assert (event.data.sequence, event.data.follows) == (7, "7a1c0000-0000-4000-8000-000000000006")
    assert (event.data.state.phase, event.data.state.attempt) == (JobPhase.RUNNING, 2)
    assert event.traceparent is not UNSET


def test_a_known_type_with_later_fields_is_still_that_type() -> None:
    """A later version may add fields; this one reads the rest."""
    event = decode(changed("started", "data.state.priority", "high"))
    assert event == decode(golden("started"))


def test_values_of_a_later_version_are_kept_where_they_may_grow_in_number() -> None:
    """The event is of its kind and folds; an executor takes the invoke type for the future one."""
    event = decode(golden("requeued", "later"))
    assert isinstance(event, events.Requeued)
    assert (event.data.reason, event.data.state.invoke_type) == ("Preempted", "OnDemand")
    assert decode(encode(event)) == event
    assert InvokeType.of(event.data.state.invoke_type) is InvokeType.UNKNOWN_FUTURE_VALUE
    assert InvokeType.of("Scheduled") is InvokeType.SCHEDULED


@pytest.mark.parametrize("enumeration", CLOSED, ids=lambda kind: kind.__name__)
def test_what_the_fold_reads_never_has_more_values(enumeration: type[StrEnum]) -> None:
    """To an older replica another one is no event, and every one behind it a fork: use a field."""
    assert " ".join(enumeration) == CLOSED[enumeration]


def test_the_payload_passes_through_byte_for_byte() -> None:
    """Neither spaces nor the spelling of numbers change between creation and executor."""
    spelled = b'{ "n": 1.50e3,\n "big": 123456789012345678901234567890 }'
    event = decode(golden("requested").replace(b'{"rows":[1,2,3]}', spelled))
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == spelled
    assert spelled in encode(event)


JUNK: dict[str, bytes | None] = {
    "a tombstone": None,
    "nothing": b"",
    "no JSON": b"job started",
    "no UTF-8": b"\xff\xfe",
    "no UTF-8 in a text": golden("started").replace(b"executor-a", b"executor-\xff"),
    "no object": b"[]",
    "an empty object": b"{}",
    "cut off": golden("started")[:-1],
    "more behind it": golden("started") + b"x",
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
    "a time that is none": changed("started", "time", "2026-02-31T00:00:00Z"),
    "no data": without("started", "data"),
    "data that is a text": changed("started", "data", "later"),
    "no sequence": without("started", "data.sequence"),
    "a sequence that is a text": changed("started", "data.sequence", "2"),
    "a sequence that is a fraction": changed("started", "data.sequence", 2.5),
    "a sequence beyond numbers": golden("started").replace(
        b'"sequence":2', b'"sequence":' + b"9" * 5_000
    ),
    "no follows": without("started", "data.follows"),
    "no state": without("started", "data.state"),
    "a phase of nobody's": changed("started", "data.state.phase", "Sleeping"),
    "a status of nobody's": changed("started", "data.state.status", "Deduped"),
    "progress above one": changed("progressed", "data.state.progress.fraction", 1.5),
    "no error where one is due": without("attempt-failed", "data.error"),
    "no reason where one is due": without("requeued", "data.reason"),
    "an unknown type without state": without(LATER, "data.state"),
    "an unknown type without sequence": without(LATER, "data.sequence"),
    "an unknown type with bad state": changed(LATER, "data.state.attempt", "two"),
}


@pytest.mark.parametrize("value", JUNK.values(), ids=JUNK)
def test_what_is_no_event_is_refused_with_one_error(value: bytes | None) -> None:
    """Whatever lies on the topic, a reader has a single error to skip and count."""
    with pytest.raises(NotAnEventError) as refused:
        decode(value)
    assert str(refused.value)


def test_a_known_type_with_bad_data_is_not_taken_for_an_unknown_one() -> None:
    """The error names the field that is wrong, so that the record can be found out about."""
    with pytest.raises(NotAnEventError, match=r"data\.reason"):
        decode(changed("requeued", "data.reason", 7))


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    name=st.sampled_from([*KINDS, LATER]),
    at=st.integers(0, 1_300),
    length=st.integers(0, 4),
    noise=st.binary(max_size=4),
)
def test_a_damaged_record_is_an_event_or_is_refused_and_nothing_else(
    name: str, at: int, length: int, noise: bytes
) -> None:
    """A few bytes overwritten anywhere never lead to any other error."""
    value = golden(name)
    damaged = value[:at] + noise + value[at + length :]
    try:
        event: Event | None = decode(damaged)
    except NotAnEventError:
        event = None
    assert event is None or decode(encode(event)) == event
