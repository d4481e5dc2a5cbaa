"""Records of the topic, as a replica reads them."""

import json
from collections.abc import Sequence

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event
from fabric_jobs.facade.log import Record
from tests.support.lifecycle import (
    A,
    apply_event,
    claim,
    decide_event,
    drive,
    events_of,
    failure,
    report_completed,
    report_failed,
    report_progress,
    request,
    stamp,
)


def record_of(event: Event, offset: int = 0, *, partition: int = 0, time_ms: int = 0) -> Record:
    """The record of an event, under the event's key."""
    key = event.subject.encode()
    return Record(partition, offset, time_ms, events.encode(event), key)


def records_of(values: Sequence[bytes]) -> list[Record]:
    """Records of partition 0 with these values, each under its event's key."""
    return [Record(0, offset, 0, value, key_of(value)) for offset, value in enumerate(values)]


def key_of(value: bytes) -> bytes | None:
    """The key of the event with this value; None if the value is no JSON object of an event."""
    try:
        subject: str = json.loads(value)["subject"]
    except (ValueError, LookupError):
        return None
    return subject.encode()


def events_of_forked_log() -> list[Event]:
    """The events of a job, in the order of a log that has lost one of them.

    The event with the id `late` follows the lost event: a facade that had read it appended, late,
    what it decided on it. The last event is final.
    """
    start = (request(), claim(1, A, "e1"))
    running = drive(start)
    lost = decide_event(running, report_progress(), stamp("lost"))
    late = decide_event(apply_event(running, lost), report_completed(), stamp("late"))
    kept = decide_event(running, report_progress(), stamp("kept"))
    report = report_failed(error=failure(permanent=True))
    failed = decide_event(apply_event(running, kept), report, stamp("failed"))
    return [*events_of(start), kept, late, failed]
