"""The pages of the monitor. A page has parts; a part is rendered again when its content changes."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from msgspec.structs import replace

from fabric_jobs.facade.controls import JobTypes, JobTypeState, start_hint
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.sorting import Sorting
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Change, Replica, StoredJob
from fabric_jobs.facade.replica.queries import Backlog
from fabric_jobs.facade.roster import LastHeartbeat, Roster
from fabric_jobs.facade.sealing import JobSecrets

#: Seconds between two counts of the jobs. All viewers share one count.
COUNT_INTERVAL_S = 1.0
#: Seconds without news of the log after which a page warns that it may be old.
MAX_AGE_S = 10.0

#: Executors on their page.
MAX_EXECUTORS = 200


class Page(ABC):
    """What a viewer looks at."""

    #: The file name of the page's template.
    template: ClassVar[str]
    #: The name of the entry in the navigation that the page belongs to.
    section: ClassVar[str]

    @abstractmethod
    async def load_parts(self) -> Mapping[str, object]:
        """Returns the current content of each part, by the name of the part's template.

        The content of a part compares equal as long as the part looks the same.
        """

    def note_change(self, change: Change) -> bool:
        """Takes note of a change of a job. Returns whether the page may look different now."""
        return False

    async def run_background(self, notify: Callable[[], None]) -> None:  # noqa: B027 - few have any
        """Does the page's background work for one viewer; calls `notify` when the page changes."""


class Summary(NamedTuple):
    """The line at the top of a page: counts of jobs, executors and slots."""

    by_status: Counter[str]
    #: When the oldest job that has not started was created.
    not_started_since: datetime | None
    executors: int
    slots: int
    free_slots: int
    #: The names of the paused job types.
    paused: Sequence[str]


class MonitorData:
    """What pages show: the replica's jobs and their counts, the executors, and warnings."""

    def __init__(
        self,
        replica: Replica,
        roster: Roster,
        job_types: JobTypes,
        health: ReplicaHealth,
        secrets: JobSecrets,
    ) -> None:
        self.replica = replica
        self.secrets = secrets
        self.roster = roster
        self.job_types = job_types
        self._health = health
        self._backlog = Backlog(Counter(), Counter(), None)
        self._counted_at = -math.inf
        self._counting = asyncio.Lock()

    async def summary(self) -> Summary:
        """Returns the summary; its counts of jobs are at most `COUNT_INTERVAL_S` old."""
        async with self._counting:
            if time.monotonic() - self._counted_at >= COUNT_INTERVAL_S:
                self._backlog = await self.replica.backlog()
                self._counted_at = time.monotonic()
        executors = [last.heartbeat for last in self.roster.executors()]
        return Summary(
            by_status=self._backlog.by_status,
            not_started_since=self._backlog.not_started_since,
            executors=len(executors),
            slots=sum(executor.slots for executor in executors),
            free_slots=sum(executor.free_slots for executor in executors),
            paused=sorted(kind.job_type for kind in self.job_types.controls.paused),
        )

    def row_job(self, stored: StoredJob) -> Job:
        """Returns the job for a row of a table: with its texts opened, and without its content.

        The content may be large, and no table shows it.
        """
        job = replace(stored.job, payload=b"", definition=b"", checkpoint=None, log_tail="")
        return self.secrets.reveal(job).job

    def start_hints(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """Returns by job id why no executor can start the job now; other jobs are left out."""
        served, paused = self.roster.served_kinds(), self.job_types.controls.paused
        hints = {job.job_id: start_hint(job, served, paused) for job in jobs}
        return {job_id: hint for job_id, hint in hints.items() if hint}

    def warnings(self) -> Sequence[str]:
        """Returns why this replica's data may be old; an empty list if they are not."""
        return self._health.unready_reasons(MAX_AGE_S)


_BY_EXECUTOR_COLUMN: Mapping[str, Callable[[LastHeartbeat], object]] = {
    "executor": lambda last: last.heartbeat.executor_id,
    "pool": lambda last: last.heartbeat.pool,
    "free": lambda last: last.heartbeat.free_slots,
    "heartbeat": lambda last: last.time,
    "runs": lambda last: len(last.heartbeat.runs),
}
_BY_TYPE_COLUMN: Mapping[str, Callable[[JobTypeState], object]] = {
    "type": lambda state: state.kind.job_type,
    "item": lambda state: state.kind.item_type,
    "executors": lambda state: state.executors,
    "waiting": lambda state: state.not_started,
    "running": lambda state: state.in_progress,
    "paused": lambda state: state.pause is not None,
}


class ExecutorsView(NamedTuple):
    """The executors that the page shows."""

    shown: Sequence[LastHeartbeat]
    #: How many there are beyond them; not positive if there are none.
    more: int
    sorting: Sorting[LastHeartbeat]


class ExecutorsPage(Page):
    """The executors."""

    template = "executors.html"
    section = "executors"

    def __init__(self, data: MonitorData, sort: str) -> None:
        """`sort` names the column to sort by. Raises `UnknownColumnError`."""
        self._data = data
        self._sorting = Sorting(_BY_EXECUTOR_COLUMN, sort)

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the executors."""
        executors = self._sorting.apply(self._data.roster.executors())
        more = len(executors) - MAX_EXECUTORS
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "executors": ExecutorsView(executors[:MAX_EXECUTORS], more, self._sorting),
        }


class JobTypesView(NamedTuple):
    """The job types, and whether the viewer may pause and resume them."""

    states: Sequence[JobTypeState]
    operator: bool
    sorting: Sorting[JobTypeState]


class JobTypesPage(Page):
    """The job types."""

    template = "job_types.html"
    section = "job types"

    def __init__(self, data: MonitorData, sort: str, *, operator: bool) -> None:
        """`sort` names the column to sort by. Raises `UnknownColumnError`.

        `operator` says whether the viewer may pause and resume job types.
        """
        self._data = data
        self._sorting = Sorting(_BY_TYPE_COLUMN, sort)
        self._operator = operator

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the job types."""
        states = self._sorting.apply(await self._data.job_types.list())
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "job_types": JobTypesView(states, self._operator, self._sorting),
        }
