"""Writes the descriptions of the topic that tools read, from the contract's types: `make docs`.

`events.schema.json` has a JSON Schema for each event. `asyncapi.yaml` describes the topic.
"""

import inspect
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct
from msgspec.structs import fields

from fabric_jobs.contract import errors, events, jobs
from fabric_jobs.contract.controls import CONTROLS_TOPIC
from fabric_jobs.contract.events import KnownEvent, UnknownEvent
from fabric_jobs.contract.heartbeats import HEARTBEATS_TOPIC
from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics

SCHEMA, ASYNCAPI = "events.schema.json", "asyncapi.yaml"
KINDS: tuple[type[KnownEvent], ...] = KnownEvent.__args__
_GENERATED = "Generated from proto/fabric_jobs/contract/events.py by `make docs`."
_KEY = {"type": "string", "format": "uuid", "description": "The job instance id, in lower case."}


def documents() -> dict[str, str]:
    """The text of each generated file, by the file's name."""
    asyncapi = yaml.safe_dump(_asyncapi(), sort_keys=False, allow_unicode=True, width=100)
    return {
        SCHEMA: json.dumps(_schema(), indent=2, ensure_ascii=False) + "\n",
        ASYNCAPI: f"# {_GENERATED}\n{asyncapi}",
    }


def _schema() -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(
        [*KINDS, UnknownEvent], ref_template="#/$defs/{name}"
    )
    kinds = vars(errors) | vars(jobs) | vars(events)
    for name, definition in definitions.items():
        kind = kinds[name]
        definition["description"] = inspect.cleandoc(definition["description"])
        if issubclass(kind, Struct):
            _describe(kind, definition["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": _GENERATED,
        "title": "The job events",
        "description": "The value of a record. A later version may write other types. Such an "
        "event is an UnknownEvent: count its sequence, and take its state.",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in KINDS],
        "$defs": definitions,
    }


def _describe(kind: type[Struct], properties: dict[str, dict[str, Any]]) -> None:
    """Adds the contract's `#:` comments to the properties as descriptions."""
    comments: dict[str, str] = {}
    for one in kind.__mro__[: kind.__mro__.index(Struct)]:
        words: list[str] = []
        for line in map(str.strip, inspect.getsource(one).splitlines()):
            if line.startswith("#:"):
                words.append(line.removeprefix("#:").strip())
            elif words and (named := re.match(r"(\w+):", line)):
                comments[named[1]] = " ".join(words)
                words = []
    for field in fields(kind):
        if field.name in comments:
            properties[field.encode_name]["description"] = comments[field.name]


def _asyncapi() -> dict[str, Any]:
    settings = FacadeSettings()
    spec = topics.events(settings)
    messages = {_name(kind): _message(kind) for kind in KINDS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fabric-jobs",
            "version": version("fabric-jobs"),
            "description": "The jobs of a Microsoft Fabric workload, as events. The topic also "
            "holds duplicates and events that lost a race. A subscriber keeps the sequence and "
            "the id of each job's last event to skip them: see subscribe.md.",
        },
        "defaultContentType": events.CONTENT_TYPE,
        "servers": {
            "kafka": {"host": settings.kafka_bootstrap_servers, "protocol": "kafka"},
        },
        "channels": {
            "events": {
                "address": EVENTS_TOPIC,
                "description": "All events of a job are in one partition, in order: the key is the "
                "job's id, and Kafka's default partitioner (murmur2) chooses the partition by the "
                "key. Records are deleted by age and never compacted.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {
                    "kafka": {
                        "topic": EVENTS_TOPIC,
                        "partitions": spec.partitions,
                        "topicConfiguration": {
                            "cleanup.policy": ["delete"],
                            "retention.ms": spec.retention_ms,
                        },
                        "bindingVersion": "0.5.0",
                    }
                },
            },
            "heartbeats": {
                "address": HEARTBEATS_TOPIC,
                "description": "Internal: the heartbeats of executors and facades. The form of the "
                "records may change at any time. Call `ListExecutors` over gRPC instead.",
            },
            "controls": {
                "address": CONTROLS_TOPIC,
                "description": "Internal: what operators control, such as paused job types. The "
                "form of the records may change. Call `ListJobTypes` over gRPC instead.",
            },
        },
        "operations": {
            "publishEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "A facade accepted a job, or a job's state changed.",
            }
        },
        "components": {"messages": messages, "messageTraits": {"event": _trait()}},
    }


def _message(kind: type[KnownEvent]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "title": kind.__name__,
        "summary": inspect.getdoc(kind),
        "payload": {"$ref": f"{SCHEMA}#/$defs/{kind.__name__}"},
        "traits": [{"$ref": "#/components/messageTraits/event"}],
    }


def _trait() -> dict[str, Any]:
    """The message trait that all events share."""
    return {
        "contentType": events.CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["content-type"],
            "properties": {"content-type": {"type": "string", "const": events.CONTENT_TYPE}},
        },
        "correlationId": {
            "description": "The job instance id.",
            "location": "$message.payload#/subject",
        },
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": "0.5.0"}},
    }


def _name(kind: type[KnownEvent]) -> str:
    """The message's name: the class name with a small first letter, as `attemptFailed`."""
    return kind.__name__[0].lower() + kind.__name__[1:]


if __name__ == "__main__":
    for name, text in documents().items():
        (Path(__file__).parent / name).write_text(text)
