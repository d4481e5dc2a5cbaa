"""Leases: an executor that does not list a run in its heartbeats for one lease loses the run.

A lease is measured on this facade's own monotonic clock. It begins when this facade reads a
heartbeat that lists the run, or first sees the run.

An executor may only seem silent because this facade does not read. So every lease begins anew
when this facade becomes attentive again (see `attention`). Before it takes a run, it reads the
topic to its end and looks again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.clock import utc_now
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import LoseLease
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.facade.maintenance.attention import FRESH_S, Attention
from fabric_jobs.facade.maintenance.partitioned import PartitionedWork
from fabric_jobs.runtime.telemetry.logs import bind_ids
from fabric_jobs.runtime.telemetry.summaries import LogSummary

log = logging.getLogger("fabric_jobs.leases")

#: Seconds between two looks for silent executors.
TICK_S = 1.0
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
        attention: Attention,
        lease_s: float,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`list_runs` returns the runs of all executors, each with its executor's id."""
        self._log = heartbeat_log
        self._jobs = jobs
        self._list_runs = list_runs
        self._rank = rank
        self._attention = attention
        self._attentive_since: float | None = None
        self._lease_s = lease_s
        self._now = now
        self._not_taken = LogSummary(log)
        self._work = PartitionedWork[tuple[Run, str]](
            lambda taken: jobs.partition(taken[0].job_id), self._take_expired
        )
        #: The executor of each run, as of the last look; empty while this facade is not attentive.
        self._holders: dict[Run, str] = {}
        #: The monotonic time at which each run's lease last began.
        self._renewed_at: dict[Run, float] = {}
        #: When this facade last read a heartbeat that lists the run, since it has been attentive.
        self._listed_at: dict[Run, datetime] = {}

    def renew(self, heartbeat: ExecutorHeartbeat) -> None:
        """Begins a new lease for each run of the executor that the heartbeat lists.

        The heartbeat may also list runs of others: an executor may claim an attempt that is granted
        to another executor, and wait for the answer.
        """
        now, listed_at = time.monotonic(), self._now()
        for run in heartbeat.runs:
            if self._holders.get(run) == heartbeat.executor_id:
                self._renewed_at[run] = now
                self._listed_at[run] = listed_at

    def is_listed_since(self, run: Run, moment: datetime) -> bool:
        """Whether a heartbeat that lists the run was read after this moment.

        An executor sends reports and heartbeats on one stream, in their order. So a report that
        waited for a connection has arrived before the heartbeat.
        """
        listed_at = self._listed_at.get(run)
        return listed_at is not None and listed_at > moment

    async def run(self) -> None:
        """Takes runs from silent executors until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(TICK_S)
                self.tick(tasks)

    def tick(self, tasks: asyncio.TaskGroup) -> None:
        """Starts to take the runs whose leases are over, if this replica is attentive."""
        since = self._attention.look()
        if since != self._attentive_since:
            self._attentive_since = since
            self._holders.clear()
            self._renewed_at.clear()
            self._listed_at.clear()
        if since is None:
            return
        self._work.start(self._find_expired(time.monotonic()), tasks)

    def _find_expired(self, now: float) -> Sequence[tuple[Run, str]]:
        self._holders = running = dict(self._list_runs())
        self._renewed_at = {run: self._renewed_at.get(run, now) for run in running}
        self._listed_at = {run: at for run, at in self._listed_at.items() if run in running}
        lease_s = self._lease_s + self._rank() * RANK_DELAY_S
        return [(run, running[run]) for run, at in self._renewed_at.items() if now - at > lease_s]

    async def _take_expired(self, expired: Sequence[tuple[Run, str]]) -> None:
        """Takes these runs, if this replica is still attentive.

        Time has passed since the look that found them: a heartbeat that was read since saves a run.
        """
        since = self._attention.look()
        if since is None or since != self._attentive_since:
            return
        try:
            async with asyncio.timeout(FRESH_S):
                await self._log.read_to_end()
        except (LogUnavailableError, TimeoutError):
            return
        now = time.monotonic()
        await asyncio.gather(
            *(
                self._take(run, executor_id)
                for run, executor_id in expired
                if now - self._renewed_at.get(run, now) > self._lease_s
            )
        )

    async def _take(self, run: Run, executor_id: str) -> None:
        command = LoseLease(job_id=run.job_id, attempt=run.attempt, executor_id=executor_id)
        with bind_ids(job=run.job_id, attempt=str(run.attempt)):
            try:
                stored = await self._jobs.execute(command)
            except (RefusedError, UnavailableError) as error:
                self._not_taken.add(
                    "the run of silent executor %s was not taken: %s", executor_id, error
                )
            else:
                phase = stored.job.state.phase
                log.warning("executor %s is silent, and lost its run: job %s", executor_id, phase)
