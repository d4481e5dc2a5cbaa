"""Lines of JSON, for scripts. Control characters are escaped, because a terminal may show them."""

import msgspec
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from msgspec import Raw

from fabric_jobs.runtime.kafka.history import HistoryEvent
from fabric_jobs.runtime.text import escape_json
from fabric_jobs.status.v1 import job_status_pb2 as pb


def message_json(message: Message) -> str:
    """Returns protobuf's JSON on one line. Empty fields are included, absent fields are not."""
    json = MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)
    return escape_json(msgspec.json.format(json, indent=-1))


def job_json(got: pb.GetJobResponse) -> str:
    """Returns the job on one line, with its payload and definition as Fabric sent them,
    its checkpoint and its last log lines.
    """
    job = msgspec.json.decode(message_json(got.job), type=dict[str, Raw])
    job["payload"] = Raw(msgspec.json.format(got.payload, indent=-1))
    if got.definition:
        job["definition"] = Raw(msgspec.json.format(got.definition, indent=-1))
    if got.checkpoint:
        job["checkpoint"] = Raw(msgspec.json.format(got.checkpoint, indent=-1))
    if got.log_tail:
        job["logTail"] = Raw(msgspec.json.encode(got.log_tail))
    return escape_json(msgspec.json.encode(job).decode())


def event_json(logged: HistoryEvent) -> str:
    """Returns the event's partition and offset, whether it was applied, and the event itself."""
    record = logged.record
    line = {
        "partition": record.partition,
        "offset": record.offset,
        "applied": logged.applied,
        "event": Raw(msgspec.json.format(record.value, indent=-1)),
    }
    return escape_json(msgspec.json.encode(line).decode())
