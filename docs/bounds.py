"""Writes docs/bounds.md from the code: `make docs`. Each bound that a caller can meet has a row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fabric_jobs.contract import (
    checkpoints,
    controls,
    errors,
    events,
    heartbeats,
    jobs,
    nesting,
    scalars,
    wire,
)
from fabric_jobs.executor import payloads
from fabric_jobs.executor.session import outbox
from fabric_jobs.facade import roster
from fabric_jobs.facade.auth import authenticator
from fabric_jobs.facade.http import correlation, instance, limits
from fabric_jobs.facade.monitor import access, app, bulk, live, timeline
from fabric_jobs.facade.on_behalf_of import client
from fabric_jobs.facade.rpc import (
    bounds,
    decoding,
    heartbeat_publisher,
    next_response,
    offers,
    page_size,
    parts,
    replica_service,
    server,
    session,
    throttle,
    watches,
)
from fabric_jobs.facade.rpc import (
    errors as rpc_errors,
)
from fabric_jobs.facade.rpc.slots import OFFER_TIMEOUT_S
from fabric_jobs.facade.settings import FacadeSettings

PAGE = Path(__file__).with_suffix(".md")
_OPENING = """\
# Bounds

Every bound that a caller, an executor or a writer of the topic can meet, and what happens beyond
it. `make docs` writes this page from the code.
"""
_EVENTS = """\
A record with a field outside these bounds is no event. Every facade and every executor skips it,
counts it ([observe.md](observe.md)) and logs its partition and offset. So does every later version:
a bound never changes, because replicas of different versions must skip the same records. A record
is no event either if its key is not the `subject`, and facades skip a record that is not in the
partition of its key. On the internal topics of heartbeats, controls and grants, a record out of
bounds is skipped, counted and logged in the same way.
[The JSON Schema](events.schema.json) has the same bounds.
"""
_HEAD = "| what | bound | beyond it |\n|---|---|---|\n"
#: The types of the objects in an event, by their place in it.
_OBJECTS: list[tuple[str, type]] = [
    ("", events.UnknownEvent),
    ("data.", events.FailedData),
    ("data.", events.RequeuedData),
    ("data.", events.CheckpointedData),
    ("data.dispatch.", events.Dispatch),
    ("data.state.", jobs.JobState),
    ("data.state.policy.", jobs.Policy),
    ("data.state.progress.", jobs.Progress),
    *(
        (f"{error}{place}", kind)
        for error in ("data.error.", "data.state.error.")
        for place, kind in (
            ("", errors.ErrorResponse),
            ("moreDetails[].", errors.ErrorExtendedInformation),
            ("moreDetails[].additionalParameters[].", errors.NameValuePair),
        )
    ),
]
_INVALID = "`INVALID_ARGUMENT`"
_REFUSED = "the entry is refused: `REFUSAL_REASON_INVALID`"
_CUT = "cut"
_BAD_REQUEST = "400"


class Row(NamedTuple):
    """A bound: of what, how much, and what happens beyond it."""

    what: str
    bound: str
    beyond: str


def page() -> str:
    """The text of docs/bounds.md."""
    parts = [_OPENING]
    for title, rows in (
        ("HTTP", _http()),
        ("The job monitor", _monitor()),
        ("gRPC calls", _calls()),
        ("Sessions of executors", _sessions()),
    ):
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        parts.append(f"## {title}\n\n{_HEAD}{lines}")
    fields = "".join(f"| `{name}` | {bound} |\n" for name, bound in sorted({*_event_fields()}))
    parts.append(f"## Events\n\n{_EVENTS}\n| field | bound |\n|---|---|\n{fields}")
    return "\n".join(parts)


def _http() -> list[Row]:
    """The bounds of the HTTP facade."""
    settings, closed = FacadeSettings(), "the connection is closed"
    body, definition = settings.body_limit_bytes, settings.definition_limit_bytes
    return [
        Row("request line and headers together", _bytes(limits.MAX_HEAD_BYTES), "431"),
        Row("headers", _number(limits.MAX_HEADERS), "431"),
        Row(
            "from a new connection, or from a request's first byte, to the end of the headers",
            f"{limits.HEAD_S:.0f} s",
            "408; the connection of a silent client is closed",
        ),
        Row("from the end of the headers to the end of the body", f"{limits.BODY_S:.0f} s", "408"),
        Row(
            "requests that wait for an answer on one connection",
            _number(limits.MAX_PIPELINED),
            closed,
        ),
        Row("time for which a client leaves an answer unread", f"{limits.UNREAD_S:.0f} s", closed),
        Row(
            "time between two requests on a connection",
            f"{settings.http_idle_s:.0f} s (`FABRIC_JOBS_HTTP_IDLE_S`)",
            closed,
        ),
        Row(
            "connections at a time",
            f"{_number(settings.http_connections)} (`FABRIC_JOBS_HTTP_CONNECTIONS`)",
            "the connection that waited longest without a request is closed; 503 if there is none",
        ),
        Row(
            "further connections for `/livez`, `/readyz` and `/metrics` only",
            _number(limits.PROBE_CONNECTIONS),
            "the oldest of them is closed",
        ),
        Row("a request's body", f"{_bytes(body)} (`FABRIC_JOBS_BODY_LIMIT_BYTES`)", "413"),
        Row(
            "an item's definition, in addition",
            f"{_bytes(definition)} (`FABRIC_JOBS_DEFINITION_LIMIT_BYTES`)",
            "413",
        ),
        Row(
            "levels of arrays and objects in a creation payload or a definition",
            _number(nesting.MAX_NESTING),
            _BAD_REQUEST,
        ),
        Row("`itemType`", f"1 to {instance.MAX_ITEM_TYPE_CHARS} characters", _BAD_REQUEST),
        Row("`jobType`", f"1 to {instance.MAX_JOB_TYPE_CHARS} characters", _BAD_REQUEST),
        Row("a token", f"{_number(authenticator.MAX_TOKEN_CHARS)} characters", "401"),
        Row(
            "`ActivityId`, `RequestId`",
            f"{correlation.MAX_ID_CHARS} characters",
            _CUT,
        ),
    ]


def _monitor() -> list[Row]:
    """The bounds of the job monitor."""
    return [
        Row("pages that follow changes at a time", _number(live.MAX_VIEWERS), "503"),
        Row(
            "wrong tokens of one replica",
            f"{access.MAX_WRONG_TOKENS} a minute",
            "429 for further wrong ones; the right token still signs in",
        ),
        Row("a form", _bytes(app.MAX_BODY_BYTES), "413"),
        Row(
            "jobs of a bulk run",
            f"{_number(bulk.MAX_JOBS)}, the oldest ones",
            "a further run with the same filters changes the others",
        ),
        Row("jobs that a bulk run changes", f"{bulk.RATE_PER_S} a second", "the others wait"),
        Row("bulk runs of one replica at a time", "1", "409"),
        Row("rows of a job's timeline", _number(timeline.MAX_ROWS), "the first ones are left out"),
        Row(
            "records that a timeline reads",
            f"{_number(timeline.MAX_RECORDS)}, in {timeline.MAX_READ_S:.0f} s",
            "the page says so",
        ),
    ]


def _calls() -> list[Row]:
    """The bounds of the gRPC API, without sessions."""
    exhausted = "`RESOURCE_EXHAUSTED`"
    return [
        Row("a message to the facade", _bytes(server.MAX_MESSAGE_BYTES), exhausted),
        Row(
            "calls and streams of one connection",
            _number(server.MAX_STREAMS),
            "further ones wait at the client",
        ),
        Row("`page_size` of `ListJobs`", _number(page_size.MAX_PAGE_SIZE), "counts as the bound"),
        Row(
            "the jobs of a page of `ListJobs`",
            _bytes(page_size.MAX_PAGE_BYTES),
            "the page ends earlier, with a `next_page_token`",
        ),
        Row("`statuses` of `ListJobs`", _number(bounds.MAX_STATUSES), _INVALID),
        Row("`job_type`, `item_type` of `ListJobs`", _chars(scalars.MAX_NAME_CHARS), _INVALID),
        Row("`page_token` of `ListJobs`", _chars(bounds.MAX_PAGE_TOKEN_CHARS), _INVALID),
        Row(
            "calls of the authority for tokens, of one replica",
            f"{client.THREADS} at a time, {client.MAX_CALLS} with those that wait",
            "tried again within the deadline, then `UNAVAILABLE`, or 503 over HTTP",
        ),
        Row("`scope` of `GetAccessToken`", f"1 to {_chars(bounds.MAX_SCOPE_CHARS)}", _INVALID),
        Row("`claims` of `GetAccessToken`", _bytes(bounds.MAX_CLAIMS_BYTES), _INVALID),
        Row(
            "watches of one replica",
            _number(watches.MAX_WATCHES),
            f"{exhausted}, `TOO_MANY_WATCHES`",
        ),
        Row(
            "events that wait for a slow watcher",
            f"{_number(watches.MAX_WATCH_BACKLOG)}, {_bytes(watches.MAX_WATCH_BACKLOG_BYTES)}",
            f"{exhausted}, `WATCHER_BEHIND`, with the offsets from which to read on",
        ),
        Row("copies that a replica sends at a time", "1", f"{exhausted}, `COPY_IN_PROGRESS`"),
        Row(
            "the rate of a copy",
            f"{_bytes(replica_service.MAX_BYTES_PER_S)} a second",
            "the copy waits",
        ),
        Row(
            "executors that a replica lists",
            f"{_number(roster.MAX_EXECUTOR_KINDS)} job types in common",
            "those heard of longest ago are left out",
        ),
    ]


def _sessions() -> list[Row]:
    """The bounds of what an executor sends and gets."""
    ends = f"the stream ends: {_INVALID}"
    types = _number(heartbeats.MAX_JOB_TYPES)
    slots = _number(heartbeats.MAX_SLOTS)
    return [
        Row(
            "`executor_id`, an item type, a job type",
            f"1 to {_chars(scalars.MAX_NAME_CHARS)}",
            ends,
        ),
        Row("`pool`, `version`", _chars(scalars.MAX_NAME_CHARS), ends),
        Row("job types in a hello, and full ones in a heartbeat", types, ends),
        Row(
            "`run_timeout` in a hello",
            f"{_number(FacadeSettings().longest_life_s)} s (`FABRIC_JOBS_LONGEST_LIFE_S`)",
            "the stream ends: `FAILED_PRECONDITION`, `RUN_TIMEOUT_TOO_LONG`",
        ),
        Row(
            "errors of a payload that pydantic finds",
            f"{payloads.MAX_ERRORS}, each of {_chars(payloads.MAX_ERROR_CHARS)}",
            "`PayloadInvalid` says how many more there are; cut",
        ),
        Row("`slots`, `free_slots`, `hung_slots`", f"0 to {slots}", ends),
        Row("`free_slots`, `hung_slots`", "the `slots` of the hello", "counts as the bound"),
        Row("runs and claims in a heartbeat", f"{slots} each", ends),
        Row(
            "heartbeats of a stream that the facade publishes",
            f"{1 / heartbeat_publisher.MIN_INTERVAL_S:g} a second",
            "only the latest heartbeat is published",
        ),
        Row("claims and reports in a message", _number(bounds.MAX_ENTRIES), ends),
        Row("messages of any kind inside a message", _number(parts.MAX_PARTS), ends),
        Row(
            "entries without an answer",
            _number(session.MAX_PENDING_ENTRIES),
            "further ones wait in the stream",
        ),
        Row("`attempt`", f"1 to {_number(scalars.MAX_COUNT)}", _REFUSED),
        Row("`event_id` of a record", _chars(scalars.MAX_NAME_CHARS), _REFUSED),
        Row("a duration in a policy", f"{_number(jobs.MAX_POLICY_S)} s", _REFUSED),
        Row("`backoff_multiplier`", f"1 to {_number(jobs.MAX_BACKOFF_MULTIPLIER)}", _REFUSED),
        Row("the fraction of a progress", "0 to 1", _REFUSED),
        Row(
            "a checkpoint",
            f"{checkpoints.MAX_CHECKPOINT_BYTES // 1024} KiB of JSON, {nesting.MAX_NESTING} levels",
            _REFUSED,
        ),
        Row("the text of a progress", _chars(jobs.MAX_PROGRESS_CHARS), _CUT),
        Row(
            "reports of progress, and of checkpoints, of a run that are written",
            f"1 every {throttle.INTERVAL_S:.0f} s",
            "the latest is written",
        ),
        Row("an error's code", _chars(errors.MAX_CODE_CHARS), _CUT),
        Row("an error's message", _chars(errors.MAX_MESSAGE_CHARS), _CUT),
        Row(
            "an error's parameters and details",
            f"{errors.MAX_LIST_ITEMS} each, a parameter of {_chars(errors.MAX_PARAMETER_CHARS)}",
            _CUT,
        ),
        Row("an error as JSON", _bytes(errors.MAX_ERROR_BYTES), "the last details are left out"),
        Row("the last log lines", _bytes(errors.MAX_LOG_TAIL_BYTES), "cut to their end"),
        Row("a traceback", _bytes(errors.MAX_TRACEBACK_BYTES), "cut to its end"),
        Row(
            "the reason of a pause",
            _chars(controls.MAX_REASON_CHARS),
            "`INVALID_ARGUMENT`, reason `INVALID_REASON`",
        ),
        Row(
            "the names of a job type that is paused or resumed",
            _chars(scalars.MAX_NAME_CHARS),
            "`INVALID_ARGUMENT`, reason `INVALID_JOB_TYPE`",
        ),
        Row(
            "a request outside sessions",
            _bytes(decoding.MAX_REQUEST_BYTES),
            "`INVALID_ARGUMENT`, reason `OUT_OF_BOUNDS`",
        ),
        Row(
            "messages of a stream whose entries have no answer",
            f"{_bytes(session.MAX_PENDING_BYTES)}, plus the last message",
            "further ones wait in the stream",
        ),
        Row(
            "the message of a policy",
            _bytes(wire.MAX_POLICY_BYTES),
            _REFUSED,
        ),
        Row("the message of an error that ends a call", _bytes(rpc_errors.MAX_MESSAGE_BYTES), _CUT),
        Row(
            "open offers to an executor",
            f"{session.MAX_OPEN_OFFERS}; an offer without a claim is open for "
            f"{OFFER_TIMEOUT_S:.0f} s",
            "further jobs are offered to others, or later",
        ),
        Row(
            "payloads, definitions and checkpoints in one message of offers",
            f"{_bytes(offers.MAX_ROUND_BYTES)}, plus those of the last job",
            "the others come in the next round",
        ),
        Row(
            "sealed payloads, definitions and checkpoints in one message of answers",
            f"{_bytes(next_response.MAX_CONTENT_BYTES)}, or those of one job",
            "the others come in the next message",
        ),
        Row(
            "a message of the Python executor",
            f"{_bytes(outbox.TARGET_MESSAGE_BYTES)}, plus the last entry",
            "the others come in the next message",
        ),
    ]


def _event_fields() -> Iterator[tuple[str, str]]:
    for place, kind in _OBJECTS:
        for field in msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].items():
            name, schema = field
            if bound := _bound(schema):
                yield f"{place}{name}", bound
    checkpoint = f"{_bytes(checkpoints.MAX_CHECKPOINT_BYTES)}, {nesting.MAX_NESTING} levels"
    yield "data.checkpoint, data.dispatch.checkpoint", checkpoint
    yield "data.dispatch.payload", f"{nesting.MAX_NESTING} levels of arrays and objects"


def _bound(schema: dict[str, Any]) -> str:
    """The bound in a field's JSON Schema, for people; empty if the schema has none."""
    for one in schema.get("anyOf", ()):
        if bound := _bound(one):
            return bound
    if schema.get("format") == "date-time":
        return f"from {scalars.MIN_TIME.year} to {scalars.END_OF_TIME.year - 1}"
    if "pattern" in schema:
        return "a GUID in lower case"
    if "maxLength" in schema:
        least = f"{schema['minLength']} to " if "minLength" in schema else ""
        return f"{least}{_chars(schema['maxLength'])}"
    if "maximum" in schema:
        most = _number(schema["maximum"])
        if "exclusiveMinimum" in schema:
            return f"above {_number(schema['exclusiveMinimum'])}, to {most}"
        return f"{_number(schema['minimum'])} to {most}"
    if "maxItems" in schema:
        item = _bound(schema["items"])
        return f"{schema['maxItems']} entries{f' of {item}' if item else ''}"
    return ""


def _number(value: float) -> str:
    return f"{value:,}"


def _chars(count: int) -> str:
    return f"{_number(count)} characters"


def _bytes(count: int) -> str:
    return f"{count // 1024**2} MiB" if count % 1024**2 == 0 else f"{count // 1024} KiB"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
