"""The heartbeats on their topic: who is there and what it runs, shared among the replicas."""

import msgspec
from msgspec import Struct

from fabric_jobs.contract.jobs import Timestamp

HEARTBEATS_TOPIC = "fabric.jobs.heartbeats"


class Run(Struct, frozen=True, array_like=True):
    """One attempt of a job."""

    job_id: str
    attempt: int


class JobKind(Struct, frozen=True, array_like=True, order=True):
    """What an executor has a handler for."""

    item_type: str
    job_type: str


class ExecutorHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="executor"):
    """What an executor process serves, holds, and has asked for and not yet been told."""

    executor_id: str
    pool: str = ""
    job_kinds: tuple[JobKind, ...] = ()
    slots: int = 0
    free_slots: int = 0
    runs: tuple[Run, ...] = ()


class FacadeHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="facade"):
    """A replica is there, and it was this time by its clock."""

    facade_id: str
    time: Timestamp


Heartbeat = ExecutorHeartbeat | FacadeHeartbeat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(Heartbeat)


def encode(heartbeat: Heartbeat) -> bytes:
    """The record's value."""
    return _encoder.encode(heartbeat)


def decode(value: bytes | None) -> Heartbeat | None:
    """The heartbeat in a record's value; none where it is no heartbeat of ours."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
