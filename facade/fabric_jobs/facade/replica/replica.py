"""Folds the log into the store, and tells those who wait for an event or listen to changes."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import starmap
from typing import NamedTuple

from fabric_jobs.contract.events import Event, NotAnEventError, decode_record
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.lifecycle import JobLifetime, Verdict, fold
from fabric_jobs.facade.log import Checkpoint, PoisonRecords, Record
from fabric_jobs.facade.replica.ended import EndedType
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.queries import Backlog, UnfinishedType
from fabric_jobs.facade.replica.query_turns import QueryTurns
from fabric_jobs.facade.replica.store import Store
from fabric_jobs.facade.replica.stored_job import StoredJob
from fabric_jobs.facade.replica.unfinished import DueJob
from fabric_jobs.runtime.kafka.partitions import partition_of
from fabric_jobs.runtime.telemetry.summaries import LogSummary

log = logging.getLogger("fabric_jobs.replica")
_forks = LogSummary(log, logging.ERROR)

#: In Python 3.11 the look-up of an enum member by its class costs more than the comparison.
_APPLIED = Verdict.APPLIED
#: How much later than its first record, by the broker's time, a job may seem to be created: the
#: clock of a facade that creates jobs is that near to the broker's.
_CLOCK_TOLERANCE = timedelta(minutes=1)


class Change(NamedTuple):
    """An applied event, and its job after it."""

    event: Event
    stored: StoredJob


#: What became of an event: the verdict of the fold, and the job after it, None if there is none.
Outcome = tuple[Verdict, StoredJob | None]


class _FoldBatch(NamedTuple):
    """The results of folding records, before the store has them."""

    #: The jobs of the records' events as the store has them, by id.
    known: dict[str, StoredJob]
    #: The jobs that events of these records changed, by id.
    folded: dict[str, StoredJob]
    #: The callbacks to call, each with its outcome.
    outcomes: list[tuple[Callable[[Outcome], None], Outcome]]
    #: The applied events, each with its job after it.
    applied: list[tuple[Event, StoredJob]]


class Replica:
    """Folds records into the store, then calls those who expect an event or listen to changes.

    All methods are called on the event loop. They raise `StateError` once the file has failed.
    """

    def __init__(self, store: Store, partitions: int) -> None:
        """`partitions` is the topic's number of partitions."""
        self._store = store
        self._retention_ms = store.lifetime.retention // timedelta(milliseconds=1)
        self._partitions = partitions
        #: The records that are no job events, or are not in the partition of their key.
        self.poison = PoisonRecords("job event")
        #: Called when a fork is found. It must not block or raise.
        self.on_fork: Callable[[], None] = lambda: None
        self._expected: dict[str, Callable[[Outcome], None]] = {}
        #: Called with each applied event, in the order of the log. They must not block or raise.
        self.listeners: set[Callable[[Change], None]] = set()
        #: Called after this replica has forgotten its jobs. They must not block or raise.
        self.reset_listeners: set[Callable[[], None]] = set()
        #: The number of events by verdict. Besides the verdicts, `remnant` counts events of jobs
        #: whose first events the topic no longer has.
        self.counts: Counter[str] = Counter()
        self._turns = QueryTurns()
        #: The latest time that an event has shown, by partition. The age of jobs is measured by it.
        self._now_ms: dict[int, int] = {}
        #: The time of the first record that was read of each partition; None if the topic still has
        #: the records before it, or this replica had read them.
        self._first_read_ms: dict[int, int | None] = {}

    @property
    def lifetime(self) -> JobLifetime:
        """How long a job may live, and how long this replica knows it."""
        return self._store.lifetime

    def get(self, job_id: str) -> StoredJob | None:
        """The job with this canonical id, as of the records read so far; None if there is none."""
        return self._store.get(job_id)

    async def list(
        self,
        which: Filter,
        limit: int,
        before: tuple[int, str] | None = None,
        *,
        oldest_first: bool = False,
    ) -> Sequence[StoredJob]:
        """A page of the jobs that match the filter, the newest or the oldest first, as of the call.

        `before` continues a list: the creation time (microseconds since 1970) and the id of the
        last job of the previous page.
        """
        return await self._turns.ask(
            lambda: self._store.list(which, limit, before, oldest_first=oldest_first)
        )

    async def list_ids(self, which: Filter, limit: int) -> Sequence[str]:
        """The ids of at most `limit` jobs that match the filter, the oldest first."""
        return await self._turns.ask(lambda: self._store.list_ids(which, limit))

    def due_jobs(self, now: datetime, limit: int, after: DueJob | None = None) -> Sequence[DueJob]:
        """The `limit` jobs whose next deadline came first, of those that are due after `after`."""
        return self._store.unfinished.due_jobs(now, limit, after)

    def queued_jobs(
        self, kinds: Collection[JobKind], now: datetime, min_wait: timedelta, limit: int
    ) -> Sequence[StoredJob]:
        """The jobs that wait for a claim longest: `limit` of each kind and default priority.

        Only jobs of these kinds that have waited for `min_wait` at the time `now`.
        """
        return self._store.unfinished.queued_jobs(kinds, now, min_wait, limit)

    async def backlog(self) -> Backlog:
        """The numbers of jobs that are not final, as of the call."""
        return await self._turns.ask(self._store.backlog)

    async def replacements(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        """The id of the job that took the place of each of these jobs; others are left out."""
        if not job_ids:
            return {}
        return await self._turns.ask(lambda: self._store.replacements(job_ids))

    async def unfinished_types(self) -> Sequence[UnfinishedType]:
        """The numbers of jobs that are not final, by type and status, as of the call."""
        return await self._turns.ask(self._store.unfinished_types)

    async def ended(self, width_s: int, first_s: int, buckets: int) -> Sequence[EndedType]:
        """The counts of ended jobs in consecutive buckets, as of the call.

        The buckets are `MINUTE_S` or `HOUR_S` wide, and the first starts at `first_s`.
        """
        return await self._turns.ask(lambda: self._store.ended(width_s, first_s, buckets))

    def held_runs(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        return self._store.unfinished.held_runs()

    def has_room(self, tenant_id: str, limit: int) -> bool:
        """Whether the tenant has fewer than `limit` unfinished jobs."""
        return self._store.unfinished.has_room(tenant_id, limit)

    async def index_for_lists(self) -> None:
        """Creates the indexes of lists, unless they exist; takes seconds for a million jobs.

        Call it when the log was read to its end.
        """
        await self._turns.ask(self._store.index_for_lists)

    def expect(self, event_id: str, callback: Callable[[Outcome], None]) -> None:
        """Calls back once, when the event with this id was read. It must not block or raise."""
        self._expected[event_id] = callback

    def forget(self, event_id: str) -> None:
        """Removes the callback of `expect`, if it was not called yet."""
        self._expected.pop(event_id, None)

    def checkpoints(self) -> dict[int, Checkpoint]:
        """How far each partition was read, without those that were never read."""
        return self._store.checkpoints()

    def reset(self) -> None:
        """Forgets every job, because the log will be read from its beginning."""
        self._store.clear()
        self._now_ms.clear()
        self._first_read_ms.clear()
        for listener in tuple(self.reset_listeners):
            listener()

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Folds the records, then calls the callbacks and the listeners.

        `positions` are the next offsets to read, by partition.
        """
        events = [self._decode(record) for record in records]
        job_ids = {event.subject for event in events if event}
        batch = _FoldBatch(self._store.get_many(job_ids), {}, [], [])
        for record, event in zip(records, events, strict=True):
            self._note_first(record)
            if event:
                self._fold(event, record, batch)
        expired_ms = {
            number: self._now_ms[number] - self._retention_ms
            for number in {record.partition for record in records}
            if number in self._now_ms
        }
        checkpoints = self._checkpoints_after(records, positions)
        self._store.put(batch.folded.values(), checkpoints, expired_ms)
        self.counts[_APPLIED.value] += len(batch.applied)
        for callback, outcome in batch.outcomes:
            callback(outcome)
        if self.listeners:
            for change in starmap(Change, batch.applied):
                for listener in tuple(self.listeners):
                    listener(change)

    def _decode(self, record: Record) -> Event | None:
        """The record's event; None if the record is poison, which is counted and logged.

        A record without a right code has none either; the log has counted and logged it.
        """
        if not record.is_accepted:
            return None
        try:
            event = decode_record(record.key, record.value)
        except NotAnEventError as error:
            self.poison.add(record, error)
            return None
        if record.partition != (right := partition_of(event.subject, self._partitions)):
            self.poison.add(record, f"its key belongs to partition {right}")
            return None
        return event

    def _note_first(self, record: Record) -> None:
        """Notes the time of a partition's first record, if those before it are gone."""
        number = record.partition
        if number not in self._first_read_ms:
            is_cut = bool(record.offset) and number not in self._store.checkpoints()
            self._first_read_ms[number] = record.time_ms if is_cut else None

    def _fold(self, event: Event, record: Record, batch: _FoldBatch) -> None:
        number, event_ms = record.partition, int(event.time.timestamp() * 1000)
        # The clock of one broker or facade may be wrong. A wrong clock must make no job look old.
        now_ms = max(self._now_ms.get(number, 0), min(record.time_ms, event_ms))
        self._now_ms[number] = now_ms
        before = batch.folded.get(event.subject) or batch.known.get(event.subject)
        if before and before.first_ms + self._retention_ms <= now_ms:
            before = None  # the job is too old; another replica may already have dropped it
        verdict, job = fold(before.job if before else None, event)
        stored = before
        if verdict is _APPLIED and job:
            first_ms = before.first_ms if before else self._first_ms(record.time_ms, event_ms)
            stored = StoredJob(job, record.partition, record.offset, first_ms)
            batch.folded[job.job_id] = stored
            batch.applied.append((event, stored))
        else:
            self._count_unapplied(verdict, event, record, before)
        if callback := self._expected.pop(event.id, None):
            batch.outcomes.append((callback, (verdict, stored)))

    def _first_ms(self, record_ms: int, event_ms: int) -> int:
        """The time from which replicas know a new job: the later of its first event's two times.

        The time is bounded, because the topic keeps the record by the record's time, and must not
        delete the record of a job that replicas know.
        """
        return min(max(record_ms, event_ms), record_ms + self._retention_ms)

    def _count_unapplied(
        self, verdict: Verdict, event: Event, record: Record, before: StoredJob | None
    ) -> None:
        """Counts an event that did not apply; logs it if it shows that the log is forked."""
        if verdict is Verdict.FORKED and before is None and self._is_remnant(event, record):
            self.counts["remnant"] += 1
            return
        self.counts[verdict.value] += 1
        if verdict is Verdict.FORKED:
            _forks.add(
                "the log is forked: event %s of job %s, partition %d offset %d, follows %s at "
                "sequence %d, which is not what was applied",
                event.id,
                event.subject,
                record.partition,
                record.offset,
                event.data.follows,
                event.data.sequence,
            )
            self.on_fork()

    def _is_remnant(self, event: Event, record: Record) -> bool:
        """Whether the topic's retention may have deleted the first events of the event's job."""
        first_ms = self._first_read_ms.get(record.partition)
        if first_ms is None:
            return False
        first_time = datetime.fromtimestamp(first_ms / 1000, UTC)
        return event.data.state.create_time <= first_time + _CLOCK_TOLERANCE

    @staticmethod
    def _checkpoints_after(
        records: Sequence[Record], positions: dict[int, int]
    ) -> dict[int, Checkpoint]:
        """The checkpoint after the last of the records in each partition."""
        last = {record.partition: record for record in records}
        return {
            number: Checkpoint(positions[number], record.offset, record.checksum)
            for number, record in last.items()
        }
