"""Leases: an executor that does not list a run in its heartbeats for one lease loses the run.

A lease is measured on this facade's own monotonic clock. It begins when this facade reads a
heartbeat that lists the run, or first sees the run.

An executor may only seem silent because this facade does not read. So every lease begins anew
when this facade was behind the heartbeats topic, or when its event loop stood still. Before it
takes a run, it reads the topic to its end and looks again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import LoseLease
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.runtime.telemetry.logs import bind_ids

log = logging.getLogger("fabric_jobs.leases")

#: Seconds between two looks for silent executors.
TICK_S = 1.0
#: Seconds between two looks after which the event loop, or the machine, must have stood still.
STALL_S = 5.0
#: Seconds since the end of the heartbeats topic was last confirmed, for silence to count.
FRESH_S = 10.0
#: Seconds that a facade waits longer than the one before it in rank.
RANK_DELAY_S = 1.0


class Leases:
    """Takes runs from executors that are silent."""

    def __init__(
        self,
        heartbeat_log: Log,
        jobs: Jobs,
        list_runs: Callable[[], Sequence[tuple[Run, str]]],
        rank: Callable[[], int],
        ready: Callable[[], bool],
        lease_s: float,
    ) -> None:
        """`list_runs` returns the runs of all executors, each with its executor's id."""
        self._log = heartbeat_log
        self._jobs = jobs
        self._list_runs = list_runs
        self._rank = rank
        self._ready = ready
        self._lease_s = lease_s
        #: The monotonic time at which each run's lease last began.
        self._renewed_at: dict[Run, float] = {}
        self._ticked_at = time.monotonic()

    def renew(self, heartbeat: ExecutorHeartbeat) -> None:
        """Begins a new lease for each run that the heartbeat lists."""
        now = time.monotonic()
        self._renewed_at.update((run, now) for run in heartbeat.runs if run in self._renewed_at)

    async def run(self) -> None:
        """Takes runs from silent executors until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Takes each run whose lease is over, if this replica is ready."""
        if not self._ready():
            return
        now = time.monotonic()
        if now - self._ticked_at > STALL_S or not self._log.is_confirmed_within(FRESH_S):
            self._renewed_at.clear()
        self._ticked_at = now
        if expired := self._find_expired(now):
            await self._take_expired(expired)

    def _find_expired(self, now: float) -> dict[Run, str]:
        running = dict(self._list_runs())
        self._renewed_at = {run: self._renewed_at.get(run, now) for run in running}
        lease_s = self._lease_s + self._rank() * RANK_DELAY_S
        return {run: running[run] for run, at in self._renewed_at.items() if now - at > lease_s}

    async def _take_expired(self, expired: dict[Run, str]) -> None:
        try:
            async with asyncio.timeout(FRESH_S):
                await self._log.read_to_end()
        except (LogUnavailableError, TimeoutError):
            return
        now = time.monotonic()
        await asyncio.gather(
            *(
                self._take(run, executor_id)
                for run, executor_id in expired.items()
                if now - self._renewed_at.get(run, now) > self._lease_s
            )
        )

    async def _take(self, run: Run, executor_id: str) -> None:
        command = LoseLease(job_id=run.job_id, attempt=run.attempt, executor_id=executor_id)
        with bind_ids(job=run.job_id, attempt=str(run.attempt)):
            try:
                stored = await self._jobs.execute(command)
            except (RefusedError, UnavailableError) as error:
                log.warning("the run of silent executor %s was not taken: %s", executor_id, error)
            else:
                phase = stored.job.state.phase
                log.warning("executor %s is silent, and lost its run: job %s", executor_id, phase)
