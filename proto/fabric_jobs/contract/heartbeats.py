"""The heartbeats on their topic: by them, facades share which facades and executors are alive."""

import msgspec
from msgspec import Struct

from fabric_jobs.contract.jobs import Timestamp

HEARTBEATS_TOPIC = "fabric.jobs.heartbeats"


class Run(Struct, frozen=True, array_like=True):
    """One attempt of a job."""

    #: The job instance id, in lower case.
    job_id: str
    #: The number of the attempt, from 1.
    attempt: int


class JobKind(Struct, frozen=True, array_like=True, order=True):
    """The item type and job type that a handler serves."""

    item_type: str
    job_type: str


class ExecutorHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="executor"):
    """An executor process is alive: what it serves and what it holds."""

    #: The id of the process, new at each start.
    executor_id: str
    #: The name of its pool, which is its consumer group.
    pool: str = ""
    #: What it has handlers for.
    job_kinds: tuple[JobKind, ...] = ()
    #: How many jobs it runs at the same time.
    slots: int = 0
    #: How many more jobs it could run now.
    free_slots: int = 0
    #: The runs that it holds, and the attempts whose claims are not answered yet.
    runs: tuple[Run, ...] = ()


class FacadeHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="facade"):
    """A facade replica is alive."""

    #: The id of the replica, new at each start.
    facade_id: str
    #: The replica's clock when it wrote the heartbeat.
    time: Timestamp


Heartbeat = ExecutorHeartbeat | FacadeHeartbeat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(Heartbeat)


def encode(heartbeat: Heartbeat) -> bytes:
    """Returns the value of the heartbeat's record."""
    return _encoder.encode(heartbeat)


def decode(value: bytes | None) -> Heartbeat | None:
    """Returns the heartbeat in a record's value, or None if the value is not a heartbeat."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
