"""Records of the topic, as a replica reads them."""

import json
from collections.abc import Sequence

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event
from fabric_jobs.facade.log import Record


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
