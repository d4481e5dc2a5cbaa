"""The operators' controls without Kafka: a log in memory, which each replica reads at once."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.log import Record
from tests.support.lifecycle import EPOCH


class MemoryLog:
    """A log of one partition in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.readers: list[Any] = []

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: Sequence[object]
    ) -> asyncio.Future[object]:
        """Gives the record to each reader."""
        self.records.append(Record(partition, len(self.records), 0, value, key))
        for reader in self.readers:
            reader.apply(self.records[-1:], {partition: len(self.records)})
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged

    async def read_to_end(self) -> None:
        """Does nothing, because every record is read at once."""


def open_controls(log: MemoryLog | None = None) -> Controls:
    """Controls that have read the log to its end, and read what follows."""
    log = log or MemoryLog()
    controls = Controls(cast("Any", log), 1.0)
    controls.apply(log.records, {0: len(log.records)})
    log.readers.append(controls)
    return controls


def pause(item_type: str, job_type: str, reason: str = "a reason") -> JobTypeControl:
    """The control that pauses a job type."""
    kind = JobKind(item_type, job_type)
    return JobTypeControl(kind=kind, paused=True, reason=reason, by="ada", time=EPOCH)
