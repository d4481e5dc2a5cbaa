"""What happened to one job: its events, read from the log on demand, and then as they come."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import NamedTuple

from aiokafka.errors import KafkaError

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event, type_of
from fabric_jobs.contract.jobs import ErrorResponse, JobState
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.kafka.history import NoSuchLogError, history
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError

#: A reading ends after so many records of the job's partition, or seconds.
MAX_RECORDS = 200_000
MAX_READ_S = 10.0
#: Seconds after which it is given up, where Kafka keeps it waiting.
LONGEST_S = MAX_READ_S + 2
#: Rows that a timeline holds: the last.
MAX_ROWS = 200
#: The note of a reading that waits.
WAITS = "Waits for another reading to end: reload the page if nothing comes."
#: Between two batches, for whatever else the loop has to do, in seconds.
_PAUSE_S = 0.005


class Row(NamedTuple):
    """An event, or several in a row that only told of progress."""

    #: Their sequence numbers.
    first: int
    last: int
    time: datetime
    kind: str
    state: JobState
    reason: str | None
    error: ErrorResponse | None
    #: Where the handler raised.
    traceback: str | None


class Timeline:
    """The rows of one job, in order, and how far they are to be believed."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=MAX_ROWS)
        #: What is to be said of the reading; nothing once all was read.
        self.note = ""
        #: The last event's sequence.
        self.sequence = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows as of now."""
        return tuple(self._rows)

    def add(self, event: Event) -> None:
        """Takes an event that was applied, unless it was there before."""
        data = event.data
        if data.sequence <= self.sequence:
            return
        if data.sequence > self.sequence + 1 and not self.note:
            self.note = (
                f"What came between events {self.sequence} and {data.sequence} was not read: "
                "reload the page."
            )
        row = _row(event)
        if self._rows and _goes_on(self._rows[-1], row):
            row = row._replace(first=self._rows.pop().first)
        self._rows.append(row)
        self.sequence = data.sequence


class Histories:
    """Reads jobs' events by a consumer of its own, for one reader at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()

    async def read_now(self, entry: StoredJob, timeline: Timeline) -> None:
        """As `read`, or says that another reading is under way."""
        if self._turn.locked():
            timeline.note = WAITS
        else:
            await self.read(entry, timeline)

    async def read(
        self, entry: StoredJob, timeline: Timeline, told: Callable[[], None] = lambda: None
    ) -> None:
        """Fills the timeline up to the job as it is in the entry, or says why it can't.

        `told` is called when there is more to see.
        """
        timeline.note = WAITS if self._turn.locked() else "Reading the log."
        told()
        async with self._turn:
            try:
                async with asyncio.timeout(LONGEST_S):
                    timeline.note = await self._read(entry, timeline, told)
            except (KafkaRefusedError, SettingsError) as error:
                timeline.note = str(error)
            except NoSuchLogError:
                timeline.note = "The topic does not reach as far as this job: was it made anew?"
            except (KafkaError, TimeoutError) as error:
                timeline.note = (
                    f"Kafka gave no answer ({type(error).__name__}). Reload the page to try again."
                )
        told()

    async def _read(self, entry: StoredJob, timeline: Timeline, told: Callable[[], None]) -> str:
        """What is to be said of it in the end."""
        begun, took_s, records = time.monotonic(), 0.0, 0
        job = entry.job
        reading = history(
            self._settings, job.job_id, job.state.create_time, entry.partition, entry.offset + 1
        )
        async with aclosing(reading) as batches:
            async for batch in batches:
                for logged in batch.events:
                    if logged.applied:
                        timeline.add(logged.event)
                records += batch.records
                took_s = time.monotonic() - begun
                if records >= MAX_RECORDS or took_s >= MAX_READ_S:
                    break
                timeline.note = f"Reading the log: {records:,} records so far."
                told()
                await asyncio.sleep(_PAUSE_S)
        if timeline.sequence >= job.sequence:
            return ""
        if not timeline.sequence and records < MAX_RECORDS and took_s < MAX_READ_S:
            return "The topic no longer holds the job's first events."
        return (
            f"Stopped after {took_s:.0f} s and {records:,} records, at event "
            f"{timeline.sequence} of {job.sequence}: `fabric-jobs jobs events` reads on."
        )


def _row(event: Event) -> Row:
    state, sequence = event.data.state, event.data.sequence
    kind = type_of(event).removeprefix("fabric.jobs.")
    row = Row(sequence, sequence, event.time, kind, state, None, None, None)
    match event:
        case events.Requeued():
            return row._replace(reason=event.data.reason)
        case events.AttemptFailed():
            return row._replace(error=event.data.error, traceback=event.data.traceback or None)
        case events.Failed():
            return row._replace(error=state.error, traceback=event.data.traceback or None)
    return row


def _goes_on(before: Row, row: Row) -> bool:
    """Whether both only tell of the same run's progress."""
    return before.kind == row.kind == "progressed" and before.last + 1 == row.first
