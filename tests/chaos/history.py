"""What was done and seen: each client operation with its times, and each line of the journals.

Times are of the machine's monotonic clock, which all processes share.
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
#: The end of an operation whose outcome is unknown: it may still take effect.
UNKNOWN = math.inf


class Shown(Struct, frozen=True, rename="camel"):
    """What an answer says of a job."""

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
    #: The body of an answer, as it came.
    body: str = ""

    @property
    def shown(self) -> Shown | None:
        """The job in the answer, where there is one."""
        return msgspec.json.decode(self.body, type=Shown) if self.code == 200 else None

    @property
    def accepted(self) -> bool:
        """Whether it is a create that was answered with 202."""
        return self.what == "create" and self.code == 202


class History:
    """The operations, in the order of their answers."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations = list(operations)
        #: The kind of each job that was ever asked for.
        self.kinds: dict[str, str] = {}

    @cached_property
    def by_job(self) -> dict[str, list[Operation]]:
        """Each job's operations, in the order of their starts; ask once all are there."""
        found: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in sorted(self.operations, key=lambda one: one.start):
            found[operation.job].append(operation)
        return found

    @cached_property
    def accepted(self) -> dict[str, float]:
        """When each job was first known to be accepted."""
        found: dict[str, float] = {}
        for one in self.operations:
            if one.accepted:
                found[one.job] = min(one.end, found.get(one.job, UNKNOWN))
        return found


class Line(Struct, frozen=True):
    """A line of a journal: a run began or ended in a process."""

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
