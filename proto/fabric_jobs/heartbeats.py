"""The heartbeats on their topic: which runs an executor holds, shared among the replicas."""

import msgspec
from msgspec import Struct

HEARTBEATS_TOPIC = "fabric.jobs.heartbeats"


class Run(Struct, frozen=True, array_like=True):
    """One attempt of a job."""

    job_id: str
    attempt: int


class Heartbeat(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an executor process holds, and what it has asked for and not yet been told."""

    executor_id: str
    runs: tuple[Run, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Heartbeat)


def encode(heartbeat: Heartbeat) -> bytes:
    """The record's value."""
    return _encoder.encode(heartbeat)


def decode(value: bytes | None) -> Heartbeat | None:
    """The heartbeat in a record's value; none where it is no heartbeat of ours."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
