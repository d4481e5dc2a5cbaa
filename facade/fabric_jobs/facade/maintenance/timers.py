"""Fires what time alone decides: backoffs that are over, and deadlines. Any replica may."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.jobs.jobs import Jobs, RefusedError
from fabric_jobs.facade.lifecycle import Command, FailUnstarted, Job, next_deadline
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import concerning

log = logging.getLogger("fabric_jobs.keeper")

TICK_S = 0.25
#: How much later each facade fires than the one before it in rank: mostly, one alone does.
RANK = timedelta(seconds=1)
#: Jobs that are looked after in one tick; the rest is due still in the next.
MAX_JOBS = 100


class Timers:
    """Looks for jobs that are due, for as long as it runs."""

    def __init__(
        self, jobs: Jobs, replica: Replica, roster: Roster, ready: Callable[[], bool]
    ) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._ready = ready

    async def run(self) -> None:
        """Fires until cancelled. Replicas that fire the same race in the log, and one wins."""
        while True:
            await asyncio.sleep(TICK_S)
            # A replica that is behind would fire what others have done.
            if self._ready():
                until = datetime.now(UTC) - self._roster.rank() * RANK
                job_ids = self._replica.due_job_ids(until, MAX_JOBS)
                await asyncio.gather(*(self._fire(job_id, until) for job_id in job_ids))

    async def _fire(self, job_id: str, until: datetime) -> None:
        entry = self._replica.get(job_id)
        what = next_deadline(entry.job) if entry else None
        if entry is None or what is None or what.time > until:
            return  # another replica was first, and what is due next is not due yet
        command, state = self._informed(what.command, entry.job), entry.job.state
        with (
            concerning(job=job_id, ActivityId=state.activity_id, RequestId=state.request_id),
            tracing.continued(entry.job.traceparent),
        ):
            try:
                entry = await self._jobs.execute(command)
            except (RefusedError, LogUnavailableError) as error:
                log.warning("%s: %s", type(command).__name__, error)
            else:
                log.info("%s: the job is %s", type(command).__name__, entry.job.state.phase)

    def _informed(self, command: Command, job: Job) -> Command:
        """The command with what only the executors' heartbeats tell."""
        if not isinstance(command, FailUnstarted):
            return command
        kind = JobKind(job.state.item_type, job.state.job_type)
        return replace(command, last_served=self._roster.last_served(kind))
