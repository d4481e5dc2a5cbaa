"""The record of a run: each client operation with its times, and each line of the journals.

Times are seconds of the machine's monotonic clock, which all processes share.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

FINAL = frozenset({"Completed", "Failed", "Cancelled"})
#: The end of an operation without answer, because it may still take effect.
UNKNOWN = math.inf


class Shown(Struct, frozen=True, rename="camel"):
    """A job's state in an answer."""

    status: str
    start_time_utc: str = ""
    end_time_utc: str = ""


class Operation(Struct, frozen=True, kw_only=True):
    """One request of a client, and its answer."""

    job: str
    what: Literal["create", "poll", "cancel"]
    replica: int
    start: float
    end: float = UNKNOWN
    #: The HTTP status; 0 where there was no answer.
    code: int = 0
    #: The body of the answer.
    body: str = ""

    @property
    def shown(self) -> Shown | None:
        """The job's state in the answer, or None."""
        return msgspec.json.decode(self.body, type=Shown) if self.code == 200 else None

    @property
    def accepted(self) -> bool:
        """Whether this is a create that was answered with 202."""
        return self.what == "create" and self.code == 202


class History:
    """The operations, in the order of their answers."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations = list(operations)
        #: The kind of each job that a client created.
        self.kinds: dict[str, str] = {}

    @cached_property
    def by_job(self) -> dict[str, list[Operation]]:
        """Each job's operations in the order of their starts; read it after the last operation."""
        found: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in sorted(self.operations, key=lambda one: one.start):
            found[operation.job].append(operation)
        return found

    @cached_property
    def accepted(self) -> dict[str, float]:
        """The time of each job's first 202."""
        found: dict[str, float] = {}
        for one in self.operations:
            if one.accepted:
                found[one.job] = min(one.end, found.get(one.job, UNKNOWN))
        return found


class Line(Struct, frozen=True):
    """A line of a journal: the start or the end of a run in a process."""

    job: str
    attempt: int
    pid: int
    at: float
    #: `started`, `returned`, or the name of what its handler raised.
    what: str


def read_journal(path: Path) -> list[Line]:
    """The lines of an executor's journal."""
    decoder = msgspec.json.Decoder(Line)
    return decoder.decode_lines(path.read_bytes())
