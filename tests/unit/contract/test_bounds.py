"""The bounds of events and heartbeats: what is outside is refused, what is at the bound is not."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.errors import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.events import MAX_SEQUENCE, NotAnEventError, decode, decode_record
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, FacadeHeartbeat, JobKind, Run
from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep
from fabric_jobs.contract.scalars import END_OF_TIME, MAX_COUNT, MAX_NAME_CHARS
from tests.support.golden import changed, golden
from tests.support.lifecycle import EPOCH

GUID = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
JOB_IDS = ("tenantId", "workspaceId", "itemId", "retryOf")
LONG = "x" * (MAX_NAME_CHARS + 1)
STATE_TIMES = [
    *("createTime", "startTime", "attemptStartTime", "cancelTime", "dueTime", "dispatchTime"),
    "endTime",
]
OUTSIDE: list[tuple[str, str, Any]] = [
    ("requested", "id", ""),
    ("requested", "id", LONG),
    ("requested", "source", "x" * 513),
    ("requested", "subject", LONG),
    *(("requested", "subject", value) for value in ("", "x", GUID.upper(), GUID + "\n", GUID[1:])),
    *(("requested", f"data.state.{name}", "x") for name in JOB_IDS),
    *(("requested", f"data.state.{name}", f"{{{GUID}}}") for name in JOB_IDS),
    ("requested", "time", "1999-12-31T23:59:59Z"),
    ("requested", "time", "9999-12-31T00:00:00Z"),
    ("requested", "traceparent", LONG),
    ("requested", "data.sequence", 0),
    ("requested", "data.sequence", -1),
    ("requested", "data.sequence", MAX_SEQUENCE + 1),
    ("started", "data.follows", LONG),
    *(("requested", f"data.state.{name}", "9999-12-31T00:00:00Z") for name in STATE_TIMES),
    *(("requested", f"data.state.{name}", "1999-12-31T23:59:59Z") for name in STATE_TIMES),
    # In UTC, this time is in the year 2200.
    ("requested", "data.state.createTime", "2199-12-31T23:30:00-01:00"),
    ("requested", "data.state.attempt", 0),
    ("requested", "data.state.attempt", 2**31),
    ("requested", "data.state.attempt", 2**63),
    ("requested", "data.state.failures", -1),
    ("requested", "data.state.failures", 2**31),
    ("requested", "data.state.failedAttempt", 2**31),
    *(
        ("requested", f"data.state.{name}", LONG)
        for name in (
            *("tenantId", "workspaceId", "itemType", "itemId", "jobType", "invokeType"),
            *("requestHash", "activityId", "requestId", "executorId", "claimTraceparent"),
        )
    ),
    ("started", "data.state.policy.maxAttempts", 2**31),
    ("started", "data.state.policy.initialBackoffS", 1e300),
    ("started", "data.state.policy.backoffMultiplier", 1e300),
    ("started", "data.state.policy.maxBackoffS", -1),
    ("started", "data.state.policy.runTimeoutS", 1e300),
    ("started", "data.state.policy.cancelGraceS", 1e300),
    ("progressed", "data.state.progress.message", "x" * 1025),
    ("attempt-failed", "data.error.errorCode", LONG),
    ("attempt-failed", "data.error.message", "x" * 2049),
    ("attempt-failed", "data.error.messageParameters", ["x"] * 17),
    ("attempt-failed", "data.error.messageParameters", ["x" * 1025]),
    ("attempt-failed", "data.error.moreDetails", [{"errorCode": "x", "message": ""}] * 17),
    ("failed", "data.traceback", "x" * 8193),
    ("requeued", "data.reason", LONG),
    ("paused", "type", LONG),
    ("paused", "data.state.attempt", 2**63),
]


@pytest.mark.parametrize(("name", "path", "value"), OUTSIDE)
def test_event_with_a_field_out_of_bounds_is_not_an_event(
    name: str, path: str, value: object
) -> None:
    """It is skipped and counted, so it stops no replica."""
    decode(golden(name))
    with pytest.raises(NotAnEventError):
        decode(changed(name, path, value))


INSIDE: list[tuple[str, str, Any]] = [
    ("requested", "time", "2199-12-31T23:59:59.999999Z"),
    ("requested", "data.state.createTime", "2000-01-01T00:00:00Z"),
    ("requested", "data.state.attempt", MAX_COUNT),
    *(("requested", f"data.state.{name}", GUID) for name in JOB_IDS),
    ("requested", "data.state.itemType", "\u4e16" * MAX_NAME_CHARS),
    ("started", "data.sequence", MAX_SEQUENCE),
    ("attempt-failed", "data.error.message", "x" * 2048),
]


@pytest.mark.parametrize(("name", "path", "value"), INSIDE)
def test_event_with_a_field_at_its_bound_is_an_event(name: str, path: str, value: object) -> None:
    """Bounds of texts count characters."""
    decode(changed(name, path, value))


def nested(levels: int) -> bytes:
    """An object with this many levels, whose texts hold brackets and quotes."""
    inner = levels - 1
    return b'{"[[\\"{": ' + b"[" * inner + b'"]}\\\\"' + b"]" * inner + b"}"


@pytest.mark.parametrize("text", [b"", b'"\\"[",', b'"[",' * 2000], ids=["short", "escape", "long"])
@pytest.mark.parametrize("levels", [MAX_NESTING, MAX_NESTING + 1, 900, 5000])
def test_payload_is_too_deep_from_the_first_level_above_the_bound(levels: int, text: bytes) -> None:
    """Brackets in texts do not count. Siblings do not add up."""
    payload = b'{"a":[' + text + b'"b"],"c":[' + nested(levels - 2) + b"]}"
    record = golden("requested").replace(b'{"rows":[1,2,3]}', payload)

    assert is_too_deep(payload) == (levels > MAX_NESTING)
    if levels > MAX_NESTING:
        with pytest.raises(NotAnEventError):
            decode(record)
    else:
        decode(record)


def test_event_with_a_deep_field_of_a_later_version_is_not_an_event() -> None:
    """A decoder that skips the field must not reach the interpreter's own bound."""
    deep: object = "x" * 2048
    for _ in range(100):
        deep = [deep]
    with pytest.raises(NotAnEventError, match="levels"):
        decode(changed("started", "data.state.later", deep))


@pytest.mark.parametrize(
    "bytes_", [b'"\\"' * 300_000 + b"[" * 70, b'["' + b'\\"' * 300_000 + b"\\" + b"[" * 70]
)
def test_nesting_of_bytes_that_are_not_json_is_decided(bytes_: bytes) -> None:
    """A quote that is never closed does not make the search quadratic."""
    assert is_too_deep(bytes_) in (True, False)


RUN = Run("0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5", 1)
HEARTBEATS: dict[str, dict[str, Any]] = {
    "no id": {"executor_id": ""},
    "a long id": {"executor_id": LONG},
    "a long pool": {"pool": LONG},
    "many job types": {"job_kinds": (JobKind("a", "b"),) * 401},
    "a long job type": {"job_kinds": (JobKind("a", LONG),)},
    "many slots": {"slots": 10_001},
    "negative slots": {"free_slots": -1},
    "many hung slots": {"hung_slots": 10_001},
    "many runs": {"runs": (RUN,) * 2001},
    "a run of no job": {"runs": (RUN, Run("a", 1))},
    "a run of a long id": {"runs": (Run(f"{RUN.job_id} {RUN.job_id}", 1),)},
    "a high attempt": {"runs": (Run(RUN.job_id, 2**31),)},
}


@pytest.mark.parametrize("fields", HEARTBEATS.values(), ids=HEARTBEATS)
def test_executor_heartbeat_out_of_bounds_is_not_a_heartbeat(fields: dict[str, Any]) -> None:
    """A reader skips it."""
    heartbeat: dict[str, Any] = {"executor_id": "a", "slots": 1, "runs": (RUN,)}
    assert heartbeats.decode(heartbeats.encode(ExecutorHeartbeat(**heartbeat)))
    assert heartbeats.decode(heartbeats.encode(ExecutorHeartbeat(**heartbeat | fields))) is None


def test_facade_heartbeat_with_a_time_out_of_bounds_is_not_a_heartbeat() -> None:
    """A reader computes with the time."""
    inside = FacadeHeartbeat(facade_id="a", time=EPOCH)
    assert heartbeats.decode(heartbeats.encode(inside)) == inside
    long_ago = datetime(1999, 12, 31, tzinfo=UTC)
    for time, start_time in ((END_OF_TIME, None), (EPOCH, END_OF_TIME), (EPOCH, long_ago)):
        outside = FacadeHeartbeat(facade_id="a", time=time, start_time=start_time)
        assert heartbeats.decode(heartbeats.encode(outside)) is None


def test_truncated_error_of_any_size_is_within_the_bounds_of_an_event() -> None:
    """What a facade writes, every facade decodes."""
    text, many = "\x00" * 50_000, 50
    detail = ErrorExtendedInformation(
        error_code=text,
        message=text,
        message_parameters=(text,) * many,
        additional_parameters=(NameValuePair(text, text),) * many,
    )
    error = ErrorResponse(
        error_code=text,
        message=text,
        source=ErrorSource.USER,
        message_parameters=(text,) * many,
        more_details=(detail,) * many,
    ).truncate()
    whole = json.loads(golden("attempt-failed"))
    whole["data"]["error"] = msgspec.to_builtins(error)
    decode(json.dumps(whole).encode())


def test_record_under_another_key_is_not_an_event() -> None:
    """The key decides the partition, and so which events of a job are in order."""
    value = golden("requested")
    event = decode(value)
    assert decode_record(event.subject.encode(), value) == event
    for key in (None, b"", GUID.encode(), event.subject.upper().encode()):
        with pytest.raises(NotAnEventError, match="key"):
            decode_record(key, value)
