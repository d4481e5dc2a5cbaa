"""Timers: sends the command that a job's state sets for a time, once that time has come.

Such times are the end of a backoff and the deadlines of a job and its run.

A deadline counts against a run, or against the executors that did not start a job. Two rules keep
this facade from holding against them what it has not heard:

Rule 1: a deadline whose time began before this facade became attentive fires at the earliest one
lease after that moment, because executors need time to connect again and to report.
Rule 2: a deadline of a run fires only after a heartbeat, read since the deadline, lists the run: a
report that waited for a connection comes first. A run that is not listed is the leases' business.

Some due jobs must wait by these rules, and the commands of others fail. No other job waits for
them: each look takes the next page of the due jobs. After the last page it begins again.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import (
    Command,
    FailUnstarted,
    ForceCancel,
    Job,
    JobDeadline,
    Retry,
    TimeOutRun,
    next_deadline,
)
from fabric_jobs.facade.maintenance.attention import Attention
from fabric_jobs.facade.maintenance.leases import Leases
from fabric_jobs.facade.maintenance.partitioned import PartitionedWork
from fabric_jobs.facade.replica import DueJob, Replica, StoredJob
from fabric_jobs.facade.roster import Roster
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids

log = logging.getLogger("fabric_jobs.timers")

#: Seconds between two looks for jobs that are due.
TICK_S = 0.25
#: How much longer a facade waits than the one before it in rank, so that mostly one of them acts.
RANK_DELAY = timedelta(seconds=1)
#: Due jobs that one look takes.
PAGE = 1000


class Timers:
    """Fires the jobs that are due."""

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        controls: Controls,
        leases: Leases,
        attention: Attention,
        lease_s: float,
    ) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._controls = controls
        self._leases = leases
        self._attention = attention
        self._lease_s = lease_s
        self._work = PartitionedWork[DueJob](lambda due: due.partition, self._fire_due)
        #: The last job that the last look took; None if the next look begins at the first one.
        self._last: DueJob | None = None

    async def run(self) -> None:
        """Fires until cancelled. If two facades fire the same job, one wins in the log."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(TICK_S)
                self.tick(tasks)

    def tick(self, tasks: asyncio.TaskGroup) -> None:
        """Starts to fire the next page of the jobs that are due, if this replica is attentive."""
        # A replica that is behind the log would fire jobs that others have fired.
        if self._attention.look() is None:
            return
        page = self._replica.due_jobs(self._until(), PAGE, self._last)
        self._last = page[-1] if len(page) == PAGE else None
        self._work.start(page, tasks)

    def _until(self) -> datetime:
        """The time until which a job must be due for this facade to fire it now."""
        return self._roster.clock.now() - self._roster.peers.rank() * RANK_DELAY

    async def _fire_due(self, due_jobs: Sequence[DueJob]) -> None:
        """Fires each of these jobs that is still due and need not wait."""
        since = self._attention.look()
        if since is None:
            return
        longest_life, until = self._replica.lifetime.longest, self._until()
        attentive_s = time.monotonic() - since
        attentive_since = self._roster.clock.now() - timedelta(seconds=attentive_s)
        ready = list[tuple[StoredJob, JobDeadline]]()
        for due in due_jobs:
            stored = self._replica.get(due.job_id)
            deadline = next_deadline(stored.job, longest_life) if stored else None
            if stored is None or deadline is None or deadline.time > until:
                continue  # Another facade fired the job first.
            began = _began(stored.job, deadline)
            if began and began < attentive_since and attentive_s < self._lease_s:
                continue
            if self._may_report(stored.job, deadline):
                continue
            ready.append((stored, deadline))
        await asyncio.gather(*(self._fire(*job) for job in ready))

    def _may_report(self, job: Job, deadline: JobDeadline) -> bool:
        """Whether an executor holds the job's run and was not heard of since the deadline."""
        run, state = Run(job.job_id, job.state.attempt), job.state
        # Only a record that no facade wrote has a run without an executor. Nobody can report then.
        is_held = state.held and state.executor_id is not None
        return is_held and not self._leases.is_listed_since(run, deadline.time)

    async def _fire(self, stored: StoredJob, deadline: JobDeadline) -> None:
        command, state = self._explain(deadline.command, stored.job), stored.job.state
        with (
            bind_ids(
                job=stored.job.job_id, ActivityId=state.activity_id, RequestId=state.request_id
            ),
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
        kind = JobKind.of(job.state)
        last_served, pause = self._roster.last_served(kind), self._controls.paused.get(kind)
        return replace(command, last_served=last_served, pause=pause)


def _began(job: Job, deadline: JobDeadline) -> datetime | None:
    """When the time that ends at the deadline began; None for a backoff, which harms nobody."""
    state = job.state
    match deadline.command:
        case Retry():
            return None
        case TimeOutRun():
            return state.attempt_start_time or state.create_time
        case ForceCancel():
            return state.cancel_time or state.create_time
        case _:
            return state.create_time
