"""The fold of the log, and those who wait for it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import starmap
from typing import NamedTuple

from fabric_jobs.contract.events import Event, NotAnEventError, decode
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.lifecycle import MAX_LIFE, Verdict, fold
from fabric_jobs.facade.log import Checkpoint, Record
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.memory import StoredJob
from fabric_jobs.facade.replica.queries import Backlog
from fabric_jobs.facade.replica.store import Store

log = logging.getLogger("fabric_jobs.replica")

#: Looked up by its class for each record, in Python 3.11, it costs more than its comparison.
_APPLIED = Verdict.APPLIED
#: How long a job is known after its first record (H): its longest life, and seven days more.
KEPT = MAX_LIFE + timedelta(days=7)
_KEPT_MS = KEPT // timedelta(milliseconds=1)
_MAX_LIFE_MS = MAX_LIFE // timedelta(milliseconds=1)


class Change(NamedTuple):
    """An applied event, and what it made of its job."""

    event: Event
    entry: StoredJob


Outcome = tuple[Verdict, StoredJob | None]


class _FoldBatch(NamedTuple):
    """What records led to that the store has not taken yet."""

    #: The jobs of its events as they were before.
    known: dict[str, StoredJob]
    folded: dict[str, StoredJob]
    #: Who expected an event, and what became of it.
    outcomes: list[tuple[Callable[[Outcome], None], Outcome]]
    #: What was applied: each event, and what it made of its job.
    applied: list[tuple[Event, StoredJob]]


class Replica:
    """Folds records into the store, then tells those who wait for an event or listen to changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._expected: dict[str, Callable[[Outcome], None]] = {}
        #: Called with each applied event, in the order of the log; must not block or raise.
        self.listeners: set[Callable[[Change], None]] = set()
        #: How many records had which verdict; `poison` counts those that are no events, `remnant`
        #: those of jobs whose first events the topic no longer has.
        self.counts: Counter[str] = Counter()
        self._now_ms: dict[int, int] = {}
        self._begun_ms: dict[int, int] = {}

    def get(self, job_id: str) -> StoredJob | None:
        """The job of this canonical id, as far as the log was read."""
        return self._store.get(job_id)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[StoredJob]:
        """Jobs, the newest first, as far as the log was read when this was called."""
        return await asyncio.wrap_future(self._store.list(which, limit, before))

    def due(self, now: datetime, most: int) -> Sequence[str]:
        """The ids of jobs that time alone would change now, at most so many."""
        return self._store.due(now, most)

    def queued(self, kinds: Sequence[JobKind], before: datetime, most: int) -> Sequence[StoredJob]:
        """Jobs of these kinds that were dispatched before, and wait; the longest first."""
        return self._store.queued(kinds, before, most)

    async def backlog(self) -> Backlog:
        """The jobs that are not final, counted, as far as the log was read when this was called."""
        return await asyncio.wrap_future(self._store.backlog())

    def running(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        return self._store.running()

    def has_room(self, tenant_id: str, most: int) -> bool:
        """Whether a tenant has fewer jobs than so many that are not final."""
        return self._store.has_room(tenant_id, most)

    async def caught_up(self) -> None:
        """Prepares for lists, once the log's end was reached; a million jobs take seconds."""
        await asyncio.wrap_future(self._store.index_for_lists())

    def expect(self, event_id: str, read_back: Callable[[Outcome], None]) -> None:
        """Tells what the fold makes of this event once it is read; must not block or raise."""
        self._expected[event_id] = read_back

    def forget(self, event_id: str) -> None:
        """Expects this event no longer."""
        self._expected.pop(event_id, None)

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Where the log is to be read from."""
        return self._store.checkpoints()

    def reset(self) -> None:
        """Forgets every job: the log is read anew."""
        self._store.clear()
        self._now_ms.clear()
        self._begun_ms.clear()

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Folds the records, then tells who waits."""
        events = [self._event(record) for record in records]
        batch = _FoldBatch(self._store.get_many({one.subject for one in events if one}), {}, [], [])
        for record, event in zip(records, events, strict=True):
            self._follow_time(record)
            if event:
                self._fold(event, record, batch)
        expired_ms = {
            number: self._now_ms[number] - _KEPT_MS
            for number in {record.partition for record in records}
        }
        self._store.put(batch.folded.values(), self._advanced(records, positions), expired_ms)
        self.counts[_APPLIED.value] += len(batch.applied)
        for read_back, outcome in batch.outcomes:
            read_back(outcome)
        if self.listeners:
            for change in starmap(Change, batch.applied):
                for listener in tuple(self.listeners):
                    listener(change)

    def _event(self, record: Record) -> Event | None:
        """What the record holds; none where that is no event."""
        try:
            return decode(record.value)
        except NotAnEventError as error:
            self.counts["poison"] += 1
            log.warning(
                "skipped a record that is no event, partition %d offset %d: %s",
                record.partition,
                record.offset,
                error,
            )
            return None

    def _follow_time(self, record: Record) -> None:
        """The broker's time as of this record, and where this fold of its partition began."""
        number, time_ms = record.partition, record.time_ms
        now_ms = self._now_ms.get(number)
        if now_ms is None:
            from_the_start = number not in self._store.checkpoints()
            if from_the_start and record.offset:
                self._begun_ms[number] = time_ms
        if now_ms is None or time_ms > now_ms:
            self._now_ms[number] = time_ms

    def _fold(self, event: Event, record: Record, batch: _FoldBatch) -> None:
        before = batch.folded.get(event.subject) or batch.known.get(event.subject)
        if before and before.first_ms + _KEPT_MS <= self._now_ms[record.partition]:
            before = None  # as it is for a replica that dropped it a record ago
        verdict, job = fold(before.job if before else None, event)
        entry = before
        if verdict is _APPLIED and job:
            first_ms = before.first_ms if before else record.time_ms
            entry = StoredJob(job, record.partition, record.offset, first_ms)
            batch.folded[job.job_id] = entry
            batch.applied.append((event, entry))
        else:
            self._count(verdict, event, record, before)
        if read_back := self._expected.pop(event.id, None):
            batch.outcomes.append((read_back, (verdict, entry)))

    def _count(
        self, verdict: Verdict, event: Event, record: Record, before: StoredJob | None
    ) -> None:
        """What did not apply."""
        if verdict is Verdict.FORKED and before is None and self._is_remnant(record):
            self.counts["remnant"] += 1
            return
        self.counts[verdict.value] += 1
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

    def _is_remnant(self, record: Record) -> bool:
        """Whether the first events of the record's job may have gone by the topic's retention."""
        begun_ms = self._begun_ms.get(record.partition)
        return begun_ms is not None and record.time_ms <= begun_ms + _MAX_LIFE_MS

    def _advanced(
        self, records: Sequence[Record], positions: dict[int, int]
    ) -> dict[int, Checkpoint]:
        last = {record.partition: record for record in records}
        return {
            number: Checkpoint(positions[number], record.offset, record.checksum)
            for number, record in last.items()
        }
