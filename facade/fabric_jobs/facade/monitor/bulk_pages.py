"""The pages of a bulk run: the question before it, and what became of its jobs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.bulk import MAX_JOBS, BulkAction, BulkRun
from fabric_jobs.facade.monitor.pages import MonitorData, Page
from fabric_jobs.facade.monitor.query import Query
from fabric_jobs.facade.replica import Filter

#: Jobs that are shown before a run.
MAX_SHOWN = 20


class BulkTarget(NamedTuple):
    """The jobs that a run would change."""

    job_ids: Sequence[str]
    #: Whether more jobs match than one run changes.
    more: bool


async def find_target(data: MonitorData, action: BulkAction, which: Filter) -> BulkTarget:
    """Returns the jobs that match the filter and that the action can change, the oldest first.

    Without a status in the filter, these are the jobs of the action's statuses. A retry leaves out
    jobs whose place another job has taken.
    """
    which = replace(
        which,
        statuses=which.statuses or action.statuses,
        unreplaced=action is BulkAction.RETRY,
    )
    found = await data.replica.list_ids(which, MAX_JOBS + 1)
    return BulkTarget(found[:MAX_JOBS], len(found) > MAX_JOBS)


class BulkQuestion(Page):
    """Shows how many jobs a run would change, and the first of them, and asks for a yes."""

    template = "bulk_question.html"
    section = "jobs"

    def __init__(
        self, data: MonitorData, action: BulkAction, query: Query, target: BulkTarget
    ) -> None:
        self._data = data
        self._filter = query.job_filter
        self.action = action
        self.target = target
        self.statuses: Sequence[JobInstanceStatus] = query.job_filter.statuses or action.statuses
        self.typed = query.filters
        self.jobs: Sequence[Job] = [
            data.row_job(stored)
            for job_id in target.job_ids[:MAX_SHOWN]
            if (stored := data.replica.get(job_id))
        ]
        self.back = query.url_query(None)

    @property
    def form(self) -> Sequence[tuple[str, str]]:
        """The filters that the form sends: ages are times in it, so that no newer job matches."""
        fixed = [("until", (self._filter.end_create_time or datetime.now(UTC)).isoformat())]
        if since := self._filter.start_create_time:
            fixed.append(("since", since.isoformat()))
        return [*(pair for pair in self.typed if pair[0] not in ("since", "until")), *fixed]

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings."""
        return {"warnings": self._data.warnings()}


class BulkView(NamedTuple):
    """A run at one time."""

    run_id: str
    action: BulkAction
    jobs: int
    results: Sequence[tuple[str, int]]
    failures: Sequence[tuple[str, str]]
    running: bool
    stopped: bool

    @property
    def done(self) -> int:
        """The jobs that are done."""
        return sum(count for _, count in self.results)


class BulkRunPage(Page):
    """What became of the jobs of a run."""

    template = "bulk_run.html"
    section = "jobs"

    def __init__(self, data: MonitorData, run: BulkRun) -> None:
        self._data = data
        self.run = run

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings and the run."""
        run = self.run
        view = BulkView(
            run.run_id,
            run.action,
            len(run.job_ids),
            sorted(run.results.items()),
            list(run.failures.items()),
            run.running,
            run.stopped,
        )
        return {"warnings": self._data.warnings(), "bulk": view}
