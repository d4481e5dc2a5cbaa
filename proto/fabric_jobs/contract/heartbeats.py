"""The heartbeats on their topic: by them, facades share which facades and executors are alive."""

from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct

from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE
from fabric_jobs.contract.guids import are_canonical_guids
from fabric_jobs.contract.scalars import (
    END_OF_TIME,
    MIN_TIME,
    AttemptNumber,
    Count,
    Guid,
    Name,
    ShortText,
    Timestamp,
)

HEARTBEATS_TOPIC = "fabric.jobs.heartbeats"
#: The bound of the job types of one executor.
MAX_JOB_TYPES = 400
#: The bound of an executor's slots.
MAX_SLOTS = 10_000
#: The bound of the runs in one record. An executor with more of them has several records.
MAX_RUNS = 2000
#: The bounds of the names of a certificate: their number, and the characters of each. What is
#: beyond them is left out.
MAX_CERTIFICATE_NAMES = 8
MAX_CERTIFICATE_NAME_CHARS = 256

_CertificateName = Annotated[str, Meta(min_length=1, max_length=MAX_CERTIFICATE_NAME_CHARS)]


class Run(Struct, frozen=True, array_like=True):
    """One attempt of a job."""

    #: The job instance id.
    job_id: Guid
    #: The number of the attempt, from 1.
    attempt: AttemptNumber


class _HasJobKind(Protocol):
    """A job's state, or a message of the status API that names a kind of jobs."""

    @property
    def item_type(self) -> str: ...
    @property
    def job_type(self) -> str: ...


class JobKind(Struct, frozen=True, array_like=True, order=True):
    """The item type and job type that a handler serves."""

    item_type: Name
    job_type: Name

    @classmethod
    def of(cls, source: _HasJobKind) -> "JobKind":
        """Returns the kind that a job's state or a message names."""
        return cls(source.item_type, source.job_type)


class ExecutorHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="executor"):
    """An executor process is alive: what it serves and what it holds."""

    #: The id of the process, new at each start.
    executor_id: Name
    #: The name of its pool, which is its consumer group.
    pool: ShortText = ""
    #: The program and its version, for people.
    version: ShortText = ""
    #: What it has handlers for.
    job_kinds: Annotated[tuple[JobKind, ...], Meta(max_length=MAX_JOB_TYPES)] = ()
    #: How many jobs it runs at the same time.
    slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0
    #: How many more jobs it could run now.
    free_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0
    #: How many of its slots are held by handlers that do not end, although their runs are over.
    hung_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0
    #: The runs that it holds, and the attempts whose claims are not answered yet.
    runs: Annotated[tuple[Run, ...], Meta(max_length=MAX_RUNS)] = ()
    #: The names in the certificate of its session; empty without mutual TLS.
    names: Annotated[tuple[_CertificateName, ...], Meta(max_length=MAX_CERTIFICATE_NAMES)] = ()


class FacadeHeartbeat(Struct, frozen=True, kw_only=True, rename="camel", tag="facade"):
    """A facade replica is alive."""

    #: The id of the replica, new at each start.
    facade_id: Name
    #: The replica's clock when it wrote the heartbeat.
    time: Timestamp
    #: The replica's clock when it started; null in heartbeats of a version that does not say it.
    start_time: Timestamp | None = None
    #: The replica's longest life of a job, in seconds. It must be the same in all replicas.
    longest_life_s: Count = int(DEFAULT_LONGEST_LIFE.total_seconds())
    #: Where a new replica may take a copy of this replica's state, as `HOST:PORT`; empty if this
    #: replica gives none now.
    copy_address: ShortText = ""


Heartbeat = ExecutorHeartbeat | FacadeHeartbeat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Heartbeat] = msgspec.json.Decoder(Heartbeat)


def encode(heartbeat: Heartbeat) -> bytes:
    """Returns the value of the heartbeat's record."""
    return _encoder.encode(heartbeat)


def decode(value: bytes | None) -> Heartbeat | None:
    """Returns the heartbeat in a record's value, or None if the value is not a heartbeat."""
    try:
        heartbeat = _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(heartbeat, FacadeHeartbeat):
        times = (heartbeat.time, heartbeat.start_time or heartbeat.time)
        is_valid = all(MIN_TIME <= one < END_OF_TIME for one in times)
    else:
        runs = heartbeat.runs
        is_valid = not runs or are_canonical_guids(run.job_id for run in runs)
    return heartbeat if is_valid else None
