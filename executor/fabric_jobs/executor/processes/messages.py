"""The messages between the executor and the processes in which it runs handlers.

A message is MessagePack behind its length, which is 4 bytes in network order.
"""

import struct
from typing import Any

import msgspec
from msgspec import Struct

from fabric_jobs.contract.definitions import ItemDefinition
from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.jobs import InvokeType

LENGTH = struct.Struct("!I")


class ObjectName(Struct, frozen=True, kw_only=True):
    """The names under which a process finds an object."""

    module: str
    qualname: str


class Start(Struct, frozen=True, kw_only=True, tag="start"):
    """To a process, once: how it finds modules, and which log lines are wanted."""

    sys_path: list[str]
    log_level: int
    #: The executor's lifespan, which the process opens for itself. `None` if there is none.
    lifespan: ObjectName | None
    #: Seconds that the lifespan may take to start.
    lifespan_start_s: float


class Function(ObjectName, frozen=True, kw_only=True):
    """The function of a handler, and the handler's types."""

    item_type: str
    job_type: str


class Check(Struct, frozen=True, kw_only=True, tag="check"):
    """To a process: import the function. The process answers with `Checked`."""

    function: Function


class Checked(Struct, frozen=True, kw_only=True, tag="checked"):
    """From a process: why the function can't be imported. Empty if it was imported."""

    reason: str


class Open(Struct, frozen=True, kw_only=True, tag="open"):
    """To a process: open the lifespan. The process answers with `Opened`."""


class Opened(Struct, frozen=True, kw_only=True, tag="opened"):
    """From a process: why the lifespan failed to start. Empty if it is open."""

    reason: str


class Call(Struct, frozen=True, kw_only=True, tag="call"):
    """To a process: call a handler. The answers are `Began`, and `Ended` at the end."""

    #: The number of the call. No other call of the executor has the same one.
    number: int
    function: Function
    #: The creation payload as JSON.
    payload: bytes
    definition: ItemDefinition | None
    job_id: str
    attempt: int
    workspace_id: str
    item_id: str
    tenant_id: str
    invoke_type: InvokeType
    activity_id: str | None
    request_id: str | None
    traceparent: str | None
    #: What an earlier attempt saved, as JSON.
    checkpoint: bytes | None
    #: The trace context of the span that is the parent of the handler's own spans.
    span_traceparent: str | None
    memory_limit_mb: int | None
    #: True if each `job.progress` waits for `ProgressSeen`, as the testing kit wants.
    waits_for_progress: bool


class CallMessage(Struct, frozen=True, kw_only=True):
    """A message about one call.

    A thread that a handler left running, or a slow answer, may send a message after the call has
    ended, while the process runs a job of another tenant. So each side compares the number.
    """

    #: The number of the call.
    call: int


class Began(CallMessage, frozen=True, kw_only=True, tag="began"):
    """From a process: it has read the call. A call without this message can be repeated."""


class Cancel(CallMessage, frozen=True, kw_only=True, tag="cancel"):
    """To a process: the handler should end now."""


class Reported(CallMessage, frozen=True, kw_only=True, tag="reported"):
    """From a process: progress of the handler."""

    fraction: float
    message: str


class ProgressSeen(CallMessage, frozen=True, kw_only=True, tag="seen"):
    """To a process: the executor has handled the last `Reported`."""


class CheckpointSaved(CallMessage, frozen=True, kw_only=True, tag="checkpoint"):
    """From a process: the handler saved a checkpoint, which is JSON."""

    checkpoint: bytes


class TokenWanted(CallMessage, frozen=True, kw_only=True, tag="token-wanted"):
    """From a process: the handler wants an access token. The answer is `TokenAnswer`."""

    #: The number of this request, which the answer repeats.
    number: int
    kind: int
    scope: str
    claims: str


class TokenAnswer(CallMessage, frozen=True, kw_only=True, tag="token"):
    """To a process: an access token, or why there is none."""

    number: int
    token: str = ""
    expires_on: int = 0
    error: ErrorResponse | None = None

    def __repr__(self) -> str:
        return f"TokenAnswer(number={self.number}, token=***, error={self.error!r})"


class Logged(CallMessage, frozen=True, kw_only=True, tag="logged"):
    """From a process: a log line, by the attributes of its `logging.LogRecord`.

    `call` is 0 for a line that no call logged.
    """

    attributes: dict[str, Any]


class Ended(CallMessage, frozen=True, kw_only=True, tag="ended"):
    """From a process: how the handler ended, as a serialized `Report` without the run's ids."""

    report: bytes
    #: Why the process could not call the handler. The job is not to blame. Empty if it was called.
    not_called: str
    #: False if the process should not run another handler.
    is_reusable: bool
    #: MB of private memory that the process had before its first handler. 0 if unknown.
    base_mb: int


ToProcess = Start | Check | Open | Call | Cancel | ProgressSeen | TokenAnswer
FromProcess = Checked | Opened | Began | Reported | CheckpointSaved | TokenWanted | Logged | Ended

_encoder = msgspec.msgpack.Encoder()
to_process_decoder: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(ToProcess)
from_process_decoder: msgspec.msgpack.Decoder[FromProcess] = msgspec.msgpack.Decoder(FromProcess)


def frame(message: ToProcess | FromProcess) -> bytes:
    """Returns the message as bytes, with its length in front."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body
