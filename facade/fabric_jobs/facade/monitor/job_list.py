"""The page with the list of jobs."""

import math
import operator
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.pages import MonitorData, Page
from fabric_jobs.facade.monitor.query import Query, encode_query
from fabric_jobs.facade.replica import Change
from fabric_jobs.facade.replica.paging import Cursor, cursor_of, cut_page

#: Jobs on a page of the list.
PAGE_ROWS = 50
#: Bound of the share of time in which a page's list is queried, while changes never end.
MAX_LIST_SHARE = 0.05


class JobList(NamedTuple):
    """A page of the job list, with links to its neighbours."""

    jobs: Sequence[Job]
    #: The URL query of the first page; None on the first page.
    first: str | None
    #: The URL query of the next page; None on the last page.
    next: str | None
    #: Whether filters are set.
    filtered: bool
    #: The job that took a job's place, by the id of the latter.
    replaced: Mapping[str, str]
    #: Why no executor can start a job now, by the job's id.
    hints: Mapping[str, str]
    oldest_first: bool
    #: The URL query of the other order.
    other_order: str


class JobsPage(Page):
    """The job list."""

    template = "jobs.html"
    section = "jobs"
    #: What is wrong with the filters.
    problem = ""

    def __init__(self, data: MonitorData, query: Query) -> None:
        self._data = data
        self._query = query
        self.typed = query.typed
        #: The URL query with the filters alone; empty if there are none.
        self.filter_query = encode_query([*query.filters])
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
        place, start, end = cursor_of(job), self._query.before, self._end
        follows = operator.gt if self._query.oldest_first else operator.lt
        is_on_page = (start is None or follows(place, start)) and (
            end is None or follows(end, place)
        )
        return is_on_page and self._query.job_filter.fits(job)

    async def _query_list(self) -> JobList:
        query, replica = self._query, self._data.replica
        found = await replica.list(
            query.job_filter, PAGE_ROWS + 1, query.before, oldest_first=query.oldest_first
        )
        page = cut_page(found, PAGE_ROWS)
        jobs = [self._data.row_job(stored) for stored in page.jobs]
        self._shown = frozenset(job.job_id for job in jobs)
        self._end = page.end
        return JobList(
            jobs,
            first=query.url_query(None) if query.before else None,
            next=query.url_query(page.end) if page.end else None,
            filtered=bool(query.filters),
            replaced=await replica.replacements([job.job_id for job in jobs if job.final]),
            hints={},
            oldest_first=query.oldest_first,
            other_order=query.other_order(),
        )


class InvalidJobsPage(Page):
    """The job list's filters as the user typed them, with what is wrong with them, and no job."""

    template = "jobs.html"
    section = "jobs"

    def __init__(self, data: MonitorData, typed: Sequence[tuple[str, str]], problem: str) -> None:
        self._data = data
        self.typed = typed
        self.problem = problem

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings and the summary."""
        return {"warnings": self._data.warnings(), "summary": await self._data.summary()}
