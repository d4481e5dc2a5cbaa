"""The pages of the monitor. A page has parts; a part is rendered again when its content changes."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from msgspec.structs import replace

from fabric_jobs.facade.controls import JobTypes, JobTypeState, start_hint
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.query import Query
from fabric_jobs.facade.monitor.timeline import MAX_ROWS, HistoryReader, Row, Timeline, row_of
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Change, Replica, StoredJob
from fabric_jobs.facade.replica.paging import Cursor, cursor_of, cut_page
from fabric_jobs.facade.replica.queries import Backlog
from fabric_jobs.facade.roster import LastHeartbeat, Roster

#: Jobs on a page of the list.
PAGE_ROWS = 50
#: Bound of the share of time in which a page's list is queried, while changes never end.
MAX_LIST_SHARE = 0.05
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


class MonitorData:
    """What pages show: the replica's jobs and their counts, the executors, and warnings."""

    def __init__(
        self, replica: Replica, roster: Roster, job_types: JobTypes, health: ReplicaHealth
    ) -> None:
        self.replica = replica
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
        )

    def start_hints(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """Returns by job id why no executor can start the job now; other jobs are left out."""
        served, paused = self.roster.served_kinds(), self.job_types.controls.paused
        hints = {job.job_id: start_hint(job, served, paused) for job in jobs}
        return {job_id: hint for job_id, hint in hints.items() if hint}

    def warnings(self) -> Sequence[str]:
        """Returns why this replica's data may be old; an empty list if they are not."""
        return self._health.unready_reasons(MAX_AGE_S)


class JobList(NamedTuple):
    """A page of the job list, with links to its neighbours."""

    jobs: Sequence[Job]
    #: The URL query of the first page; None on the first page.
    newest: str | None
    #: The URL query of the next page; None on the last page.
    older: str | None
    #: Whether filters are set.
    filtered: bool
    #: The job that took a job's place, by the id of the latter.
    replaced: Mapping[str, str]
    #: Why no executor can start a job now, by the job's id.
    hints: Mapping[str, str]


class JobsPage(Page):
    """The job list."""

    template = "jobs.html"

    def __init__(self, data: MonitorData, query: Query) -> None:
        self._data = data
        self.query = query
        self._list: JobList | None = None
        #: Whether the list must be queried again.
        self._changed = True
        #: When the list may be queried again, on the monotonic clock.
        self._due_at = -math.inf
        #: The ids of the jobs in the list; None during a query, when any change may matter.
        self._shown: frozenset[str] | None = None
        #: The place of the last job if more jobs follow, else None.
        self._end: Cursor | None = None

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the list."""
        now = time.monotonic()
        if self._changed and now >= self._due_at:
            self._changed, self._shown = False, None
            self._list = await self._query_list()
            self._due_at = now + (time.monotonic() - now) / MAX_LIST_SHARE
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "list": self._list and self._with_hints(self._list),
        }

    def note_change(self, change: Change) -> bool:
        """Notes a change of a job that is in the list, or that belongs there."""
        self._changed = self._changed or self._concerns(change.stored.job)
        return self._changed

    def _with_hints(self, listed: JobList) -> JobList:
        """Adds the hints, which may change although no job does."""
        return listed._replace(hints=self._data.start_hints(listed.jobs))

    def _concerns(self, job: Job) -> bool:
        if self._shown is None or {job.job_id, job.state.retry_of} & self._shown:
            return True
        place, before = cursor_of(job), self.query.before
        is_on_page = (before is None or place < before) and (self._end is None or place > self._end)
        return is_on_page and self.query.job_filter.fits(job)

    async def _query_list(self) -> JobList:
        query, replica = self.query, self._data.replica
        found = await replica.list(query.job_filter, PAGE_ROWS + 1, query.before)
        page = cut_page(found, PAGE_ROWS)
        # The list shows no payloads. They may be large, so the page does not keep them.
        jobs = [
            replace(stored.job, payload=b"", definition=b"", checkpoint=None, log_tail="")
            for stored in page.jobs
        ]
        self._shown = frozenset(job.job_id for job in jobs)
        self._end = page.end
        return JobList(
            jobs,
            newest=query.url_query(None) if query.before else None,
            older=query.url_query(page.end) if page.end else None,
            filtered=bool(query.typed),
            replaced=await replica.replacements([job.job_id for job in jobs if job.final]),
            hints={},
        )


class ExecutorsView(NamedTuple):
    """The executors that the page shows."""

    shown: Sequence[LastHeartbeat]
    #: How many there are beyond them; not positive if there are none.
    more: int


class ExecutorsPage(Page):
    """The executors."""

    template = "executors.html"

    def __init__(self, data: MonitorData) -> None:
        self._data = data

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the executors."""
        executors = self._data.roster.executors()
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "executors": ExecutorsView(executors[:MAX_EXECUTORS], len(executors) - MAX_EXECUTORS),
        }


class JobTypesView(NamedTuple):
    """The job types, and whether the viewer may pause and resume them."""

    states: Sequence[JobTypeState]
    operator: bool


class JobTypesPage(Page):
    """The job types."""

    template = "job_types.html"

    def __init__(self, data: MonitorData, *, operator: bool) -> None:
        """`operator` says whether the viewer may pause and resume job types."""
        self._data = data
        self._operator = operator

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the job types."""
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "job_types": JobTypesView(await self._data.job_types.list(), self._operator),
        }


class StateView(NamedTuple):
    """A job, why no executor can start it now, and the job that took its place."""

    job: Job
    hint: str
    replaced_by: str | None


class TimelineView(NamedTuple):
    """The content of a timeline at one time."""

    rows: Sequence[Row]
    note: str
    job_id: str


class JobPage(Page):
    """One job."""

    template = "job.html"

    def __init__(
        self, data: MonitorData, history: HistoryReader, stored: StoredJob, *, operator: bool
    ) -> None:
        """`operator` says whether the viewer may cancel the job."""
        self._data = data
        self._history = history
        self._stored = stored
        self._operator = operator
        self._timeline = Timeline()
        #: Events that applied since the page was opened. The timeline takes them after the history.
        self._new_rows: deque[Row] = deque(maxlen=MAX_ROWS)
        self._history_read = False

    @property
    def job(self) -> Job:
        """The job as the page last saw it."""
        return self._stored.job

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the job's state, the actions and the timeline."""
        self._refresh_job()
        if self._history_read:
            for row in self._new_rows:
                self._timeline.add(row)
            self._new_rows.clear()
        timeline = self._timeline
        job_ids = [self.job.job_id] if self.job.final else []
        replaced = await self._data.replica.replacements(job_ids)
        hint = self._data.start_hints([self.job]).get(self.job.job_id, "")
        cancellable = self._operator and not self.job.final and not self.job.state.cancel_time
        return {
            "warnings": self._data.warnings(),
            "state": StateView(self.job, hint, replaced.get(self.job.job_id)),
            "actions": self.job.job_id if cancellable else None,
            "timeline": TimelineView(timeline.rows, timeline.note, self.job.job_id),
        }

    def note_change(self, change: Change) -> bool:
        """Keeps an event of this job for the timeline."""
        if change.stored.job.state.retry_of == self.job.job_id:
            return True
        if change.stored.job.job_id != self.job.job_id:
            return False
        # A row, because an event holds a payload, and there may be many events.
        self._new_rows.append(row_of(change.event))
        return True

    async def read_history(self) -> None:
        """Reads the job's events from the log, unless another page is reading."""
        await self._history.read_now(self._stored, self._timeline)

    async def run_background(self, notify: Callable[[], None]) -> None:
        """Reads the job's events from the log; later events come by `note_change`."""
        self._refresh_job()
        await self._history.read(self._stored, self._timeline, notify)
        self._history_read = True
        notify()

    def _refresh_job(self) -> None:
        """Looks the job up again. A job that the replica has dropped stays as it was."""
        self._stored = self._data.replica.get(self.job.job_id) or self._stored
