"""The fold of the log, and those who wait for it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from fabric_jobs.events import Event, NotAnEventError, decode
from fabric_jobs.heartbeats import JobKind, Run
from fabric_jobs.jobs import JobInstanceStatus
from facade.lifecycle import Verdict, fold
from facade.log import Checkpoint, Record
from facade.replica.store import Entry, Store

log = logging.getLogger("fabric_jobs.replica")


class Change(NamedTuple):
    """An applied event, and what it made of its job."""

    event: Event
    entry: Entry
    partition: int


Outcome = tuple[Verdict, Entry | None]


class Replica:
    """Folds records into the store, then tells those who wait for an event or listen to changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._expected: dict[str, asyncio.Future[Outcome]] = {}
        #: Called with each applied event, in the order of the log; must not block or raise.
        self.listeners: set[Callable[[Change], None]] = set()
        #: How many records had which verdict; `poison` counts those that are no events.
        self.counts: Counter[str] = Counter()

    def get(self, job_id: str) -> Entry | None:
        """The job of this canonical id, as far as the log was read."""
        return self._store.get(job_id)

    def list(
        self,
        statuses: Sequence[JobInstanceStatus],
        job_type: str,
        limit: int,
        before: tuple[int, str] | None,
    ) -> Sequence[Entry]:
        """Jobs, the newest first, as far as the log was read."""
        return self._store.list(statuses, job_type, limit, before)

    def due(self, now: datetime, most: int) -> Sequence[str]:
        """The ids of jobs that time alone would change now, the longest due first."""
        return self._store.due(now, most)

    def queued(self, kinds: Sequence[JobKind], before: datetime, most: int) -> Sequence[Entry]:
        """Jobs of these kinds that were dispatched before, and wait; the longest first."""
        return self._store.queued(kinds, before, most)

    def running(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        return self._store.running()

    def unfinished(self, tenant_id: str, most: int) -> int:
        """How many of a tenant's jobs are not final, counted up to `most`."""
        return self._store.unfinished(tenant_id, most)

    def expect(self, event_id: str) -> asyncio.Future[Outcome]:
        """Ends with what the fold makes of this event once it is read. Cancel it to forget it."""
        expected: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._expected[event_id] = expected
        expected.add_done_callback(lambda _: self._expected.pop(event_id, None))
        return expected

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Where the log is to be read from."""
        return self._store.checkpoints()

    def reset(self) -> None:
        """Forgets every job: the log is read anew."""
        self._store.clear()

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Folds the records in one transaction, then tells who waits."""
        folded: dict[str, Entry] = {}
        outcomes: list[tuple[str, Outcome]] = []
        changes: list[Change] = []
        for record in records:
            try:
                event = decode(record.value)
            except NotAnEventError as error:
                self.counts["poison"] += 1
                log.warning(
                    "skipped a record that is no event, partition %d offset %d: %s",
                    record.partition,
                    record.offset,
                    error,
                )
                continue
            before = folded.get(event.subject) or self._store.get(event.subject)
            verdict, job = fold(before.job if before else None, event)
            self.counts[verdict.value] += 1
            if verdict is Verdict.APPLIED and job:
                entry = folded[job.job_id] = Entry(job, record.offset)
                outcomes.append((event.id, (verdict, entry)))
                changes.append(Change(event, entry, record.partition))
            else:
                outcomes.append((event.id, (verdict, before)))
            if verdict is Verdict.FORKED:
                log.error(
                    "the log is forked: event %s of job %s, partition %d offset %d, follows %s at "
                    "sequence %d, which is not what was applied",
                    event.id,
                    event.subject,
                    record.partition,
                    record.offset,
                    event.data.follows,
                    event.data.sequence,
                )
        self._store.commit(folded.values(), self._advanced(records, positions))
        for event_id, outcome in outcomes:
            expected = self._expected.get(event_id)
            if expected and not expected.done():
                expected.set_result(outcome)
        for change in changes:
            for listener in tuple(self.listeners):
                listener(change)

    def _advanced(
        self, records: Sequence[Record], positions: dict[int, int]
    ) -> dict[int, Checkpoint]:
        last = {record.partition: record for record in records}
        return {
            number: Checkpoint(positions[number], record.offset, record.checksum)
            for number, record in last.items()
        }
