"""Cancels or retries many jobs for an operator, one after the other, in the background."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from fabric_jobs.contract.guids import retry_id
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.retries import retry_job
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.runtime.telemetry.logs import bind_ids

log = logging.getLogger("fabric_jobs.monitor")

#: Jobs of one run at most; a further run with the same filters finds the others.
MAX_JOBS = 10_000
#: Jobs that a run changes per second at most.
RATE_PER_S = 50
#: Tries for one job while Kafka is away, and the seconds between two of them.
TRIES = 5
RETRY_S = 1.0
#: Runs that a replica remembers, and the failed jobs that each of them names.
MAX_RUNS = 20
MAX_FAILURES = 50


class BulkAction(StrEnum):
    """What a run does to each job."""

    CANCEL = "cancel"
    RETRY = "retry"

    @property
    def statuses(self) -> tuple[JobInstanceStatus, ...]:
        """The statuses of the jobs that are changed, unless the operator names others."""
        if self is BulkAction.RETRY:
            return (JobInstanceStatus.FAILED,)
        return (JobInstanceStatus.NOT_STARTED, JobInstanceStatus.IN_PROGRESS)


class BulkBusyError(Exception):
    """Another run is in progress on this replica."""


class BulkRun:
    """One run: its jobs, and what became of each."""

    def __init__(self, action: BulkAction, job_ids: Sequence[str]) -> None:
        self.run_id = str(uuid.uuid4())
        self.action = action
        self.job_ids = job_ids
        #: The number of jobs by what became of them.
        self.results = Counter[str]()
        #: The first jobs that were not changed, with the reason.
        self.failures = dict[str, str]()
        self.stopped = False
        #: Whether the run goes on.
        self.running = True

    async def execute(self, jobs: Jobs) -> None:
        """Changes the jobs one after the other, until all are changed or the run is stopped."""
        clock = asyncio.get_running_loop().time
        next_at = clock()
        try:
            for job_id in self.job_ids:
                await asyncio.sleep(next_at - clock())
                if self.stopped:
                    break
                next_at = max(next_at, clock() - 1) + 1 / RATE_PER_S
                with bind_ids(job=job_id):
                    self.results[await self._change(jobs, job_id)] += 1
        except Exception:
            log.exception("bulk %s from the monitor failed", self.action)
        finally:
            self.running = False
            log.info("bulk %s from the monitor ended: %s", self.action, dict(self.results))

    async def _change(self, jobs: Jobs, job_id: str) -> str:
        """Changes one job. Returns what became of it, in a few words."""
        for left in reversed(range(TRIES)):
            try:
                return await (
                    _cancel(jobs, job_id)
                    if self.action is BulkAction.CANCEL
                    else _retry(jobs, job_id)
                )
            except RefusedError as error:
                failure = f"refused: {error}"
                break
            except UnavailableError as error:
                failure = str(error)
                if left:
                    await asyncio.sleep(RETRY_S)
        if len(self.failures) < MAX_FAILURES:
            self.failures[job_id] = failure
        return "failed"


class BulkRuns:
    """The latest runs of this replica, of which one at a time is in progress."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._runs: dict[str, BulkRun] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, action: BulkAction, job_ids: Sequence[str]) -> BulkRun:
        """Starts a run. Raises `BulkBusyError` if another one is in progress."""
        if self._task and not self._task.done():
            raise BulkBusyError
        run = BulkRun(action, job_ids)
        self._runs[run.run_id] = run
        if len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        self._task = asyncio.create_task(run.execute(self._jobs), name="bulk run of the monitor")
        return run

    def get(self, run_id: str) -> BulkRun | None:
        """Returns the run, or None if this replica does not remember it."""
        return self._runs.get(run_id)

    def stop(self) -> None:
        """Stops the run in progress after its current job."""
        for run in self._runs.values():
            run.stopped = run.stopped or run.running


async def _cancel(jobs: Jobs, job_id: str) -> str:
    state = (await jobs.execute(RequestCancel(job_id=job_id))).job.state
    if state.phase is JobPhase.STOPPING:
        return "asked to stop"
    if state.status is JobInstanceStatus.CANCELLED:
        return "cancelled"
    return f"had already ended as {state.status}"


async def _retry(jobs: Jobs, job_id: str) -> str:
    await retry_job(jobs, job_id, retry_id(job_id))
    return "retried"
