"""Who is there: executors and facades, as their heartbeats tell every replica."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, FacadeHeartbeat, Heartbeat, JobKind
from fabric_jobs.facade.log import Checkpoint, Log, LogUnavailableError, Record

log = logging.getLogger("fabric_jobs.roster")

#: How often a facade is heard of, in seconds.
BEAT_S = 5.0
#: A facade that was not heard of for this long stands behind nobody any more, in seconds.
GONE_S = 3 * BEAT_S
#: How long a heartbeat may wait to be written, in seconds: the next one says the same.
WRITE_S = 5.0
#: How far this machine's clock may be from the broker's before it decides nothing by time.
MAX_SKEW = timedelta(seconds=30)
#: How long an executor that is silent is remembered.
KEPT = timedelta(hours=1)
_SKEWED = "this machine's clock is %.0f s from the broker's: it is not ready, and fires nothing"


class Heard(NamedTuple):
    """An executor's last heartbeat, and when it was written."""

    heartbeat: ExecutorHeartbeat
    time: datetime


class Roster:
    """Reads the heartbeats' log, and writes what this replica hears, and that it is there itself.

    Nothing is kept: what is read again is heard of again.
    """

    def __init__(self, beats: Log, facade_id: str, lease_s: float, *, record_time: bool) -> None:
        """`record_time` says whether the broker writes its own time on each record."""
        self._beats = beats
        self._facade_id = facade_id
        self._lease = timedelta(seconds=lease_s)
        self._record_time = record_time
        self._executors: dict[str, Heard] = {}
        self._facades: dict[str, float] = {}
        self._served: dict[JobKind, datetime] = {}
        self._skew = timedelta()
        #: Called with each executor's heartbeat; must not block or raise.
        self.listeners: set[Callable[[ExecutorHeartbeat], None]] = set()

    def rank(self) -> int:
        """How many facades come before this one: what any may do, the first does first."""
        now = time.monotonic()
        return sum(
            facade_id < self._facade_id and now - at < GONE_S
            for facade_id, at in self._facades.items()
        )

    @property
    def clock_is_right(self) -> bool:
        """Whether what this replica decides by its clock is right by the broker's."""
        return self._skew <= MAX_SKEW

    def executors(self) -> Sequence[Heard]:
        """The executors that were heard of within a lease, by pool and id."""
        since = datetime.now(UTC) - self._lease
        there = [heard for heard in self._executors.values() if heard.time >= since]
        return sorted(there, key=lambda one: (one.heartbeat.pool, one.heartbeat.executor_id))

    def last_served(self, kind: JobKind) -> datetime | None:
        """When an executor with a handler for it was last heard of, as far as is known here."""
        return self._served.get(kind)

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Tells all replicas; without Kafka, nobody hears of it."""
        key = (
            heartbeat.executor_id
            if isinstance(heartbeat, ExecutorHeartbeat)
            else heartbeat.facade_id
        )
        with suppress(LogUnavailableError, TimeoutError):
            async with asyncio.timeout(WRITE_S):
                await self._beats.append(0, key.encode(), heartbeats.encode(heartbeat), [])

    async def run(self) -> None:
        """Says that this facade is there, until cancelled."""
        while True:
            now = datetime.now(UTC)
            self._executors = {
                name: heard for name, heard in self._executors.items() if now - heard.time < KEPT
            }
            await self.beat(FacadeHeartbeat(facade_id=self._facade_id, time=now))
            await asyncio.sleep(BEAT_S)

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Nothing is kept."""
        return {}

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Hears what these records tell."""
        for record in records:
            match heartbeats.decode(record.value):
                case ExecutorHeartbeat() as heartbeat:
                    self._hear_executor(heartbeat, self._time_of(record))
                case FacadeHeartbeat(facade_id=self._facade_id, time=written):
                    self._check_clock(written, self._time_of(record))
                case FacadeHeartbeat(facade_id=facade_id):
                    self._facades[facade_id] = time.monotonic()

    def reset(self) -> None:
        """Forgets who was there."""
        self._executors.clear()
        self._facades.clear()

    def _hear_executor(self, heartbeat: ExecutorHeartbeat, at: datetime) -> None:
        self._executors[heartbeat.executor_id] = Heard(heartbeat, at)
        self._served.update(dict.fromkeys(heartbeat.job_kinds, at))
        for listener in tuple(self.listeners):
            listener(heartbeat)

    def _time_of(self, record: Record) -> datetime:
        if not self._record_time:
            return datetime.now(UTC)
        return datetime.fromtimestamp(record.time_ms / 1000, UTC)

    def _check_clock(self, written: datetime, recorded: datetime) -> None:
        was_right = self.clock_is_right
        self._skew = skew(written, recorded, datetime.now(UTC))
        if was_right and not self.clock_is_right:
            log.error(_SKEWED, self._skew.total_seconds())


def skew(written: datetime, recorded: datetime, read: datetime) -> timedelta:
    """How far a clock is from the broker's, at least.

    The broker recorded what was written before, and is read now, unless one of them is off.
    """
    return max(written - recorded, recorded - read, timedelta())
