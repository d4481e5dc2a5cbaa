"""The executors and facades that are alive, known to every replica by the heartbeats topic."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial as bind
from typing import Any, NamedTuple

from aiokafka.structs import RecordMetadata

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, FacadeHeartbeat, Heartbeat, JobKind
from fabric_jobs.facade.clock import Clock, utc_now
from fabric_jobs.facade.log import (
    Checkpoint,
    Log,
    LogUnavailableError,
    PoisonRecords,
    Record,
    has_broker_time,
)
from fabric_jobs.facade.peers import HEARTBEAT_S, Peers

log = logging.getLogger("fabric_jobs.roster")

#: Seconds that the write of a heartbeat may take; the next heartbeat repeats what was lost.
WRITE_TIMEOUT_S = 5.0
#: How long the roster remembers when a kind of job was last served. The error of a job that no
#: executor started says it, and such a job fails before this time is over.
LAST_SERVED_KEPT = timedelta(hours=3)
#: Bounds of what the roster remembers: the job kinds of all executors in common, where an executor
#: counts for one at least, and the kinds with the time when they were last served. What is oldest
#: is forgotten first.
MAX_EXECUTOR_KINDS = 10_000
MAX_SERVED_KINDS = 10_000
_SKEWED = (
    "this machine's clock is %.0f s from the broker's: this facade is not ready and fires no timers"
)


class LastHeartbeat(NamedTuple):
    """An executor's last heartbeat, and the time at which it was written."""

    heartbeat: ExecutorHeartbeat
    time: datetime


class Roster:
    """Reads the heartbeats topic, and writes to it: this facade's heartbeats and its executors'.

    The roster keeps nothing on disk: after a restart it fills up as heartbeats arrive.
    """

    def __init__(
        self,
        heartbeat_log: Log,
        clock: Clock,
        facade_id: str,
        lease_s: float,
        longest_life_s: int,
        *,
        record_time: bool,
    ) -> None:
        """`record_time` says whether the broker writes its own time on each record."""
        self._log = heartbeat_log
        #: The broker's time, by the acknowledgements of this facade's heartbeats.
        self.clock = clock
        #: This facade among the others.
        self.peers = Peers(facade_id, longest_life_s)
        self._facade_id = facade_id
        self._lease = timedelta(seconds=lease_s)
        self._record_time = record_time
        #: The records that are no heartbeats.
        self.poison = PoisonRecords("heartbeat")
        #: By id. The one whose heartbeat was read longest ago comes first.
        self._executors: dict[str, LastHeartbeat] = {}
        #: The sum of the weights of these.
        self._executor_kinds = 0
        self._last_served: dict[JobKind, datetime] = {}
        self._clock_was_right = True
        #: Called with each executor's heartbeat; must not block or raise.
        self.listeners: set[Callable[[ExecutorHeartbeat], None]] = set()

    def executors(self) -> Sequence[LastHeartbeat]:
        """The executors whose last heartbeat is at most one lease old, by pool and id."""
        now = self.clock.now()
        alive = [last for last in self._executors.values() if self._is_alive(last, now)]
        return sorted(alive, key=lambda last: (last.heartbeat.pool, last.heartbeat.executor_id))

    def find(self, executor_id: str) -> ExecutorHeartbeat | None:
        """The last heartbeat of an executor that is alive; None if there is none."""
        last = self._executors.get(executor_id)
        return last.heartbeat if last and self._is_alive(last, self.clock.now()) else None

    def served_kinds(self) -> frozenset[JobKind]:
        """The kinds of jobs that those executors have handlers for."""
        return frozenset(kind for last in self.executors() for kind in last.heartbeat.job_kinds)

    def last_served(self, kind: JobKind) -> datetime | None:
        """The time of the last heartbeat of an executor with a handler for this kind of job."""
        return self._last_served.get(kind)

    async def publish(self, heartbeat: Heartbeat) -> asyncio.Future[Any] | None:
        """Writes a heartbeat to the topic for all replicas. Returns its acknowledgement.

        Drops the heartbeat if Kafka is away, and returns None.
        """
        key = (
            heartbeat.executor_id
            if isinstance(heartbeat, ExecutorHeartbeat)
            else heartbeat.facade_id
        )
        with suppress(LogUnavailableError, TimeoutError):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                return await self._log.append(0, key.encode(), heartbeats.encode(heartbeat), [])
        return None

    async def run(self) -> None:
        """Publishes this facade's heartbeats until cancelled."""
        while True:
            self.forget_silent()
            self._look_at_clock()
            heartbeat = self.peers.heartbeat()
            self.clock.note_written(heartbeat.time)
            if acknowledgement := await self.publish(heartbeat):
                acknowledgement.add_done_callback(bind(self._confirm_clock, heartbeat.time))
            await asyncio.sleep(HEARTBEAT_S)

    def forget_silent(self) -> None:
        """Forgets the executors and facades that are silent, and kinds that nobody serves."""
        now = self.clock.now()
        for executor_id, last in [*self._executors.items()]:
            if not self._is_alive(last, now):
                self._forget_executor(executor_id)
        self._last_served = {
            kind: at for kind, at in self._last_served.items() if now - at < LAST_SERVED_KEPT
        }
        self.peers.forget_silent()

    def checkpoints(self) -> dict[int, Checkpoint]:
        """No position is kept: each start reads the heartbeats of the last hour."""
        return {}

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes in the heartbeats that were read from the topic."""
        for record in records:
            written_at = self._time_of(record)
            self.peers.note_time(written_at)
            # A record without a value is a test append of `fabric-jobs check`.
            if not (record.is_accepted and record.value):
                continue
            match heartbeats.decode(record.value):
                case None:
                    self.poison.add(record)
                case ExecutorHeartbeat() as heartbeat:
                    self._apply_executor(heartbeat, written_at)
                case FacadeHeartbeat() as heartbeat if heartbeat.facade_id != self._facade_id:
                    self.peers.apply(heartbeat, written_at)

    def reset(self) -> None:
        """Forgets every executor and facade, because the topic is read again."""
        self._executors.clear()
        self._executor_kinds = 0
        self.peers.clear()

    def _is_alive(self, last: LastHeartbeat, now: datetime) -> bool:
        return now - last.time <= self._lease

    def _apply_executor(self, heartbeat: ExecutorHeartbeat, at: datetime) -> None:
        self._forget_executor(heartbeat.executor_id)
        self._executors[heartbeat.executor_id] = LastHeartbeat(heartbeat, at)
        self._executor_kinds += _weight(heartbeat)
        while self._executor_kinds > MAX_EXECUTOR_KINDS:
            self._forget_executor(next(iter(self._executors)))
        for kind in heartbeat.job_kinds:
            # Removed first, so that the kinds stay in the order of their times.
            self._last_served.pop(kind, None)
            self._last_served[kind] = at
        while len(self._last_served) > MAX_SERVED_KINDS:
            del self._last_served[next(iter(self._last_served))]
        for listener in tuple(self.listeners):
            listener(heartbeat)

    def _forget_executor(self, executor_id: str) -> None:
        if last := self._executors.pop(executor_id, None):
            self._executor_kinds -= _weight(last.heartbeat)

    def _time_of(self, record: Record) -> datetime:
        if not self._record_time:
            return utc_now()
        return datetime.fromtimestamp(record.time_ms / 1000, UTC)

    def _confirm_clock(
        self, written: datetime, acknowledgement: asyncio.Future[RecordMetadata]
    ) -> None:
        """Sets the clock by the broker's time in the acknowledgement of this facade's heartbeat.

        Readers refuse the record if its code has the time of a wrong clock. The acknowledgement
        comes from the broker itself, so it sets the clock all the same.
        """
        if acknowledgement.cancelled() or acknowledgement.exception():
            return
        metadata = acknowledgement.result()
        if not self._record_time:
            self.clock.follow_wall_clock()
        elif has_broker_time(metadata):
            self.clock.confirm(written, datetime.fromtimestamp(metadata.timestamp / 1000, UTC))

    def _look_at_clock(self) -> None:
        was_right, self._clock_was_right = self._clock_was_right, self.clock.is_right
        if was_right and not self._clock_was_right:
            log.error(_SKEWED, self.clock.skew.total_seconds())


def _weight(heartbeat: ExecutorHeartbeat) -> int:
    """What an executor counts for in `MAX_EXECUTOR_KINDS`."""
    return max(len(heartbeat.job_kinds), 1)
