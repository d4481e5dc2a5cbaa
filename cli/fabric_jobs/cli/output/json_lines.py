"""Lines of JSON, for scripts. Control characters are escaped, because a terminal may show them."""

import re
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from msgspec import Raw

from fabric_jobs.runtime.kafka.history import HistoryEvent
from fabric_jobs.runtime.text import escape_json
from fabric_jobs.status.v1 import job_status_pb2 as pb


def message_json(message: Message) -> str:
    """Returns the message as JSON on one line, with statuses and phases named as for people.

    Empty fields are included, absent fields are not.
    """
    fields = MessageToDict(message, always_print_fields_with_no_presence=True)
    _rename_enums(message, fields)
    return escape_json(msgspec.json.encode(fields).decode())


def job_json(got: pb.GetJobResponse) -> str:
    """Returns the job on one line, with payload, definition, checkpoint and last log lines.

    A part that is empty is left out, such as a payload that is sealed with a key that the facade
    lacks.
    """
    job = msgspec.json.decode(message_json(got.job), type=dict[str, Raw])
    for name in ("payload", "definition", "checkpoint"):
        if json := getattr(got, name):
            job[name] = Raw(msgspec.json.format(json, indent=-1))
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


def _rename_enums(message: Message, fields: dict[str, Any]) -> None:
    """Changes each enum value of the message's JSON from protobuf's name to the short name."""
    for field in message.DESCRIPTOR.fields:
        value = fields.get(field.json_name)
        if field.enum_type and value is not None:
            fields[field.json_name] = _short_name(field.enum_type.name, value)
        elif isinstance(value, dict):  # a time is a string
            _rename_enums(getattr(message, field.name), value)


def _short_name(enum: str, value: str | int) -> str | int:
    """Returns `NotStarted` for `JOB_INSTANCE_STATUS_NOT_STARTED`. An unknown number stays."""
    if isinstance(value, int):
        return value
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper() + "_"
    return value.removeprefix(prefix).title().replace("_", "")
