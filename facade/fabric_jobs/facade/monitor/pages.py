"""The pages, each of parts that are rendered again when what they show has changed."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from msgspec.structs import replace

from fabric_jobs.contract.events import Event
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.query import Place, Query
from fabric_jobs.facade.monitor.timeline import MAX_ROWS, Histories, Row, Timeline
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Change, Replica, StoredJob
from fabric_jobs.facade.replica.filter import created_us
from fabric_jobs.facade.replica.queries import Backlog
from fabric_jobs.facade.roster import Roster

#: Rows of a list.
PAGE_ROWS = 50
#: The share of the time in which a page's list is looked up at most, where changes never end.
LIST_SHARE = 0.05
#: How old the counts may be, in seconds: not those who look decide how often jobs are counted.
COUNTED_S = 1.0
#: How long without news of the log a page may be before it says so, in seconds.
FRESH_S = 10.0


class Page(ABC):
    """What a viewer looks at."""

    #: The template of the whole.
    template: ClassVar[str]

    @abstractmethod
    async def parts(self) -> Mapping[str, object]:
        """By the name of its template, what each part shows now; equal while it is the same."""

    def hears(self, change: Change) -> bool:
        """Whether something that the page shows may have changed by it."""
        return False

    async def follow(self, told: Callable[[], None]) -> None:  # noqa: B027 - most need nothing
        """What is to be done beside, for as long as somebody looks; tells of what comes of it."""


class Summary(NamedTuple):
    """How the service is doing, in a line."""

    by_status: Counter[str]
    not_started_since: datetime | None
    executors: int
    slots: int
    free_slots: int


class Service:
    """What the pages are made of: jobs, counts of them, and who runs them."""

    def __init__(self, replica: Replica, roster: Roster, health: ReplicaHealth) -> None:
        self.replica = replica
        self.roster = roster
        self._health = health
        self._backlog = Backlog(Counter(), Counter(), None)
        self._counted_at = -math.inf
        self._counting = asyncio.Lock()

    async def summary(self) -> Summary:
        """As of at most a second ago."""
        async with self._counting:
            if time.monotonic() - self._counted_at >= COUNTED_S:
                self._backlog = await self.replica.backlog()
                self._counted_at = time.monotonic()
        there = [heard.heartbeat for heard in self.roster.executors()]
        return Summary(
            by_status=self._backlog.by_status,
            not_started_since=self._backlog.not_started_since,
            executors=len(there),
            slots=sum(executor.slots for executor in there),
            free_slots=sum(executor.free_slots for executor in there),
        )

    def doubts(self) -> Sequence[str]:
        """Why this replica may not know what there is to see; nothing where all is well."""
        return self._health.unready_reasons(FRESH_S)


class Listed(NamedTuple):
    """A page of the list, and where its neighbours are."""

    jobs: Sequence[Job]
    newest: str | None
    older: str | None
    filtered: bool


class JobsPage(Page):
    """The list."""

    template = "jobs.html"

    def __init__(self, service: Service, query: Query) -> None:
        self._service = service
        self.query = query
        self._listed: Listed | None = None
        #: Whether it is to be looked up, and when it may be, on the monotonic clock.
        self._changed = True
        self._due_at = -math.inf
        #: The rows' jobs; none while they are looked up, when any change may concern them.
        self._shown: frozenset[str] | None = None
        #: The place of the last row, where more rows follow.
        self._last: Place | None = None

    async def parts(self) -> Mapping[str, object]:
        """What is in doubt, the counts and the rows."""
        now = time.monotonic()
        if self._changed and now >= self._due_at:
            self._changed, self._shown = False, None
            self._listed = await self._list()
            self._due_at = now + (time.monotonic() - now) / LIST_SHARE
        service = self._service
        return {
            "doubts": service.doubts(),
            "summary": await service.summary(),
            "list": self._listed,
        }

    def hears(self, change: Change) -> bool:
        """A row, or a job that fits and whose place would be among them."""
        self._changed = self._changed or self._concerns(change.stored.job)
        return self._changed

    def _concerns(self, job: Job) -> bool:
        if self._shown is None or job.job_id in self._shown:
            return True
        place, before = _place(job), self.query.before
        among = (before is None or place < before) and (self._last is None or place > self._last)
        return among and self.query.which.fits(job)

    async def _list(self) -> Listed:
        query = self.query
        found = await self._service.replica.list(query.which, PAGE_ROWS + 1, query.before)
        # Payloads are not shown in a list, and may be large: none is held for as long as one looks.
        jobs = [replace(entry.job, payload=b"") for entry in found[:PAGE_ROWS]]
        self._shown = frozenset(job.job_id for job in jobs)
        self._last = _place(jobs[-1]) if len(found) > PAGE_ROWS else None
        return Listed(
            jobs,
            newest=query.text(None) if query.before else None,
            older=query.text(self._last) if self._last else None,
            filtered=bool(query.typed),
        )


class ExecutorsPage(Page):
    """Who is there to run jobs."""

    template = "executors.html"

    def __init__(self, service: Service) -> None:
        self._service = service

    async def parts(self) -> Mapping[str, object]:
        """What is in doubt, the counts and the executors."""
        service = self._service
        return {
            "doubts": service.doubts(),
            "summary": await service.summary(),
            "executors": service.roster.executors(),
        }


class Told(NamedTuple):
    """The timeline as it is now."""

    rows: Sequence[Row]
    note: str
    job_id: str


class JobPage(Page):
    """All that is known of one job."""

    template = "job.html"

    def __init__(
        self, service: Service, histories: Histories, entry: StoredJob, *, operator: bool
    ) -> None:
        self._service = service
        self._histories = histories
        self._entry = entry
        self._operator = operator
        self._timeline = Timeline()
        #: Events that were applied since, which the timeline takes once it has those before.
        self._later: deque[Event] = deque(maxlen=MAX_ROWS)
        self._read = False

    @property
    def job(self) -> Job:
        """The job as it was read last."""
        return self._entry.job

    async def parts(self) -> Mapping[str, object]:
        """What is in doubt, the state, what may be done, and what happened."""
        self._look()
        if self._read:
            for event in self._later:
                self._timeline.add(event)
            self._later.clear()
        timeline = self._timeline
        cancellable = self._operator and not self.job.final and not self.job.state.cancel_time
        return {
            "doubts": self._service.doubts(),
            "state": self.job,
            "actions": self.job.job_id if cancellable else None,
            "timeline": Told(timeline.rows, timeline.note, self.job.job_id),
        }

    def hears(self, change: Change) -> bool:
        """The job's own events."""
        if change.stored.job.job_id != self.job.job_id:
            return False
        self._later.append(change.event)
        return True

    async def read(self) -> None:
        """Reads the job's events from the log, unless others are being read."""
        await self._histories.read_now(self._entry, self._timeline)

    async def follow(self, told: Callable[[], None]) -> None:
        """Reads the job's events from the log, up to the first that is heard."""
        self._look()
        await self._histories.read(self._entry, self._timeline, told)
        self._read = True
        told()

    def _look(self) -> None:
        """The job as it is by now; one that the replica forgot meanwhile, as it was."""
        self._entry = self._service.replica.get(self.job.job_id) or self._entry


def _place(job: Job) -> Place:
    return created_us(job), job.job_id
