"""Writes one executor's heartbeats to the heartbeats topic, for all replicas."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import MAX_RUNS, ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.roster import Roster
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: The least time between two heartbeats of a session that are published, in seconds. Every replica
#: reads each of them, and a lease is a second at least.
MIN_INTERVAL_S = 0.2


class HeartbeatPublisher:
    """Publishes the heartbeats of one session, at most one each `MIN_INTERVAL_S`.

    If more heartbeats come meanwhile, or while Kafka is slow, only the latest of them waits.
    """

    def __init__(self, hello: pb.Hello, names: Sequence[str], roster: Roster) -> None:
        """`names` are those of the executor's certificate, within the bounds of a heartbeat."""
        #: What each heartbeat says of the executor. The hello itself is not kept, because
        #: everything that the client sent would stay in memory with it.
        self._executor = ExecutorHeartbeat(
            executor_id=hello.executor_id,
            pool=hello.pool,
            version=hello.version,
            job_kinds=tuple(map(JobKind.of, hello.job_types)),
            slots=hello.slots,
            names=tuple(names),
        )
        self._roster = roster
        #: The parts of the next heartbeat, which waits until the earlier one is written.
        self._next: Sequence[ExecutorHeartbeat] = ()
        #: When the next heartbeat may be written, on the event loop's clock.
        self._next_at = float("-inf")
        self._is_publishing = False

    def publish(
        self, heartbeat: pb.Heartbeat, runs: Sequence[Run]
    ) -> Coroutine[Any, Any, None] | None:
        """Returns the work that publishes a heartbeat with these runs, for the caller to start.

        Returns None if such work is under way: it publishes this heartbeat too.
        """
        self._next = self._split(heartbeat, runs)
        if self._is_publishing:
            return None
        self._is_publishing = True
        return self._publish(self._take())

    async def _publish(self, parts: Sequence[ExecutorHeartbeat]) -> None:
        clock = asyncio.get_running_loop().time
        while parts:
            if (early_s := self._next_at - clock()) > 0:
                await asyncio.sleep(early_s)
                parts = self._take() or parts
            self._next_at = clock() + MIN_INTERVAL_S
            for part in parts:
                await self._roster.publish(part)
            parts = self._take()
        self._is_publishing = False

    def _take(self) -> Sequence[ExecutorHeartbeat]:
        parts, self._next = self._next, ()
        return parts

    def _split(self, heartbeat: pb.Heartbeat, runs: Sequence[Run]) -> Sequence[ExecutorHeartbeat]:
        """Returns the heartbeat in parts that each fit a record."""
        slots = self._executor.slots
        return [
            replace(
                self._executor,
                free_slots=min(heartbeat.free_slots, slots),
                hung_slots=min(heartbeat.hung_slots, slots),
                runs=tuple(runs[start : start + MAX_RUNS]),
            )
            for start in range(0, max(len(runs), 1), MAX_RUNS)
        ]
