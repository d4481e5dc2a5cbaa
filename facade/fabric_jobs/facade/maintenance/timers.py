"""Timers: sends the command that a job's state sets for a time, once that time has come.

Such times are the end of a backoff and the deadlines of a job and its run.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Command, FailUnstarted, Job, next_deadline
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids

log = logging.getLogger("fabric_jobs.timers")

#: Seconds between two looks for jobs that are due.
TICK_S = 0.25
#: How much longer a facade waits than the one before it in rank, so that mostly one of them acts.
RANK_DELAY = timedelta(seconds=1)
#: Jobs that one look handles; the next look finds the others.
MAX_JOBS = 100


class Timers:
    """Fires the jobs that are due."""

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        controls: Controls,
        ready: Callable[[], bool],
    ) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._controls = controls
        self._ready = ready

    async def run(self) -> None:
        """Fires until cancelled. If two facades fire the same job, one wins in the log."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Fires each job that is due now, if this replica is ready."""
        # A replica that is behind the log would fire jobs that others have fired.
        if not self._ready():
            return
        until = datetime.now(UTC) - self._roster.rank() * RANK_DELAY
        job_ids = self._replica.due_job_ids(until, MAX_JOBS)
        await asyncio.gather(*(self._fire(job_id, until) for job_id in job_ids))

    async def _fire(self, job_id: str, until: datetime) -> None:
        stored = self._replica.get(job_id)
        deadline = next_deadline(stored.job) if stored else None
        if stored is None or deadline is None or deadline.time > until:
            return  # Another facade fired the job first.
        command, state = self._explain(deadline.command, stored.job), stored.job.state
        with (
            bind_ids(job=job_id, ActivityId=state.activity_id, RequestId=state.request_id),
            tracing.continue_trace(stored.job.traceparent),
        ):
            try:
                stored = await self._jobs.execute(command)
            except (RefusedError, UnavailableError) as error:
                log.warning("%s failed: %s", type(command).__name__, error)
            else:
                log.info("%s: the job is %s", type(command).__name__, stored.job.state.phase)

    def _explain(self, command: Command, job: Job) -> Command:
        """Adds to `FailUnstarted` when an executor for the job was last alive, and the pause."""
        if not isinstance(command, FailUnstarted):
            return command
        kind = JobKind(job.state.item_type, job.state.job_type)
        last_served, pause = self._roster.last_served(kind), self._controls.paused.get(kind)
        return replace(command, last_served=last_served, pause=pause)
