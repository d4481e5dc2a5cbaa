"""Leases: a run that its executor has not listed for a while is taken from it.

Silence is measured on this replica's own monotonic clock, from when it read a heartbeat or first
saw the run. A silence that may be its own counts for nothing: not the time before its start, nor
while its tail was behind or its loop stood still. What it takes for silent at last, it looks up
again at the end of the topic.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.jobs.jobs import Jobs, RefusedError
from fabric_jobs.facade.lifecycle import LoseLease
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.runtime.telemetry.logs import concerning

log = logging.getLogger("fabric_jobs.leases")

TICK_S = 1.0
#: A tick that comes later than this means that the loop, or the machine, stood still.
STALL_S = 5.0
#: How old the last sight of the heartbeats' end may be for silence to be an executor's.
FRESH_S = 10.0
#: How much longer each facade waits than the one before it in rank, in seconds.
RANK_S = 1.0


class Leases:
    """Who has not been heard of for too long."""

    def __init__(
        self,
        beats: Log,
        jobs: Jobs,
        running: Callable[[], Sequence[tuple[Run, str]]],
        rank: Callable[[], int],
        ready: Callable[[], bool],
        lease_s: float,
    ) -> None:
        """`running` lists the runs of all executors, each with its executor's id."""
        self._beats = beats
        self._jobs = jobs
        self._running = running
        self._rank = rank
        self._ready = ready
        self._lease_s = lease_s
        self._good: dict[Run, float] = {}
        self._ticked_at = time.monotonic()

    def hear(self, heartbeat: ExecutorHeartbeat) -> None:
        """The runs in this heartbeat are well."""
        now = time.monotonic()
        self._good.update((run, now) for run in heartbeat.runs if run in self._good)

    async def run(self) -> None:
        """Takes runs from executors that are silent, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._ready():
                await self.tick()

    async def tick(self) -> None:
        """Looks once who is silent, and takes what that one holds."""
        now = time.monotonic()
        if now - self._ticked_at > STALL_S or not self._beats.is_confirmed_within(FRESH_S):
            # Everybody begins a new lease.
            self._good.clear()
        self._ticked_at = now
        if silent := self._silent(now):
            await self._take(silent)

    def _silent(self, now: float) -> dict[Run, str]:
        running = dict(self._running())
        self._good = {run: self._good.get(run, now) for run in running}
        lease_s = self._lease_s + self._rank() * RANK_S
        return {run: running[run] for run, at in self._good.items() if now - at > lease_s}

    async def _take(self, silent: dict[Run, str]) -> None:
        try:
            async with asyncio.timeout(FRESH_S):
                await self._beats.read_to_end()
        except (LogUnavailableError, TimeoutError):
            return
        now = time.monotonic()
        lost = [(run, executor) for run, executor in silent.items() if self._is_silent(run, now)]
        await asyncio.gather(*(self._lose(run, executor) for run, executor in lost))

    def _is_silent(self, run: Run, now: float) -> bool:
        return now - self._good.get(run, now) > self._lease_s

    async def _lose(self, run: Run, executor_id: str) -> None:
        command = LoseLease(job_id=run.job_id, attempt=run.attempt, executor_id=executor_id)
        with concerning(job=run.job_id, attempt=str(run.attempt)):
            try:
                entry = await self._jobs.execute(command)
            except (RefusedError, LogUnavailableError) as error:
                log.warning("the lease of executor %s was not taken: %s", executor_id, error)
            else:
                phase = entry.job.state.phase
                log.warning("executor %s is silent: the job is %s", executor_id, phase)
