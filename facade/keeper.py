"""Fires what time alone decides: backoffs that are over, and deadlines. Any replica may."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from fabric_jobs.logs import concerning
from facade.jobs import Jobs, RefusedError
from facade.lifecycle import due
from facade.log import LogUnavailableError
from facade.replica import Replica

log = logging.getLogger("fabric_jobs.keeper")

TICK_S = 0.25
#: Jobs that are looked after in one tick; the rest is due still in the next.
MOST = 100


class Keeper:
    """Looks for jobs that are due, for as long as it runs."""

    def __init__(self, jobs: Jobs, replica: Replica, ready: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._replica = replica
        self._ready = ready

    async def run(self) -> None:
        """Fires until cancelled. Replicas that fire the same race in the log, and one wins."""
        while True:
            await asyncio.sleep(TICK_S)
            # A replica that is behind would fire what others have done.
            if self._ready():
                job_ids = self._replica.due(datetime.now(UTC), MOST)
                await asyncio.gather(*(self._fire(job_id) for job_id in job_ids))

    async def _fire(self, job_id: str) -> None:
        entry = self._replica.get(job_id)
        what = due(entry.job) if entry else None
        if what is None:
            return
        with concerning(job=job_id):
            try:
                entry = await self._jobs.execute(what.command)
            except (RefusedError, LogUnavailableError) as error:
                log.warning("%s: %s", type(what.command).__name__, error)
            else:
                log.info("%s: the job is %s", type(what.command).__name__, entry.job.state.phase)
