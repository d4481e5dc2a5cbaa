"""The events of one job: read from the log on demand, then added as they apply."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.events import Event, FailedData, type_of
from fabric_jobs.contract.jobs import JobState
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.kafka.history import NoSuchLogError, read_history
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError

#: Bounds of one reading: records of the job's partition, and seconds.
MAX_RECORDS = 200_000
MAX_READ_S = 10.0
#: Seconds after which a reading is cancelled, because Kafka does not answer.
READ_TIMEOUT_S = MAX_READ_S + 2
#: Bound of a timeline: the last rows are kept.
MAX_ROWS = 200
#: Bound of the tracebacks of a timeline together: the latest are kept.
MAX_TRACEBACKS_CHARS = 64 * 1024
#: The text in place of a traceback beyond it.
LEFT_OUT = "(left out: `fabric-jobs jobs events --json` shows it)"
#: The note of a reading that waits for another one to end.
WAITING_NOTE = "Waits until another reading ends. Reload the page if nothing appears."
#: Seconds between two batches, in which the event loop does other work.
_PAUSE_S = 0.005


class Row(NamedTuple):
    """A row of a timeline: one event, or several consecutive events of a run that goes on."""

    #: The sequence of the first event.
    first: int
    #: The sequence of the last event.
    last: int
    time: datetime
    #: The event's CloudEvents type, without `fabric.jobs.`.
    kind: str
    #: The job's state after the event.
    state: JobState
    #: Why an attempt was dispatched again.
    reason: str | None = None
    error: ErrorResponse | None = None
    #: The handler's traceback.
    traceback: str | None = None
    #: The last lines that the handler logged.
    log_tail: str | None = None
    #: The size of the checkpoint that the handler saved.
    checkpoint_bytes: int | None = None


class Timeline:
    """The rows of one job, and a note about how complete they are."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=MAX_ROWS)
        #: What the page says about the reading; empty once every event was read.
        self.note = ""
        #: The sequence of the last event.
        self.sequence = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, in the order of the events."""
        return tuple(self._rows)

    def add(self, row: Row) -> None:
        """Adds the row of an applied event. One that the timeline already has is ignored."""
        sequence = row.last
        if sequence <= self.sequence:
            return
        if sequence > self.sequence + 1 and not self.note:
            self.note = (
                f"The events between {self.sequence} and {sequence} were not read. Reload the page."
            )
        if self._rows and _continues(self._rows[-1], row):
            row = row._replace(first=self._rows.pop().first)
        self._rows.append(row)
        self.sequence = sequence
        self._drop_old_tracebacks()

    def _drop_old_tracebacks(self) -> None:
        """Drops the oldest tracebacks beyond `MAX_TRACEBACKS_CHARS`."""
        room = MAX_TRACEBACKS_CHARS
        for place in reversed(range(len(self._rows))):
            row = self._rows[place]
            room -= len(row.traceback or "") + len(row.log_tail or "")
            if (row.traceback or row.log_tail) and room < 0:
                self._rows[place] = row._replace(traceback=LEFT_OUT, log_tail=None)


class HistoryReader:
    """Reads jobs' events from the log with a consumer for each reading, one reading at a time."""

    def __init__(
        self,
        settings: KafkaSettings,
        reveal: Callable[[Event], Event],
        accepts: Callable[[ConsumerRecord], bool] = lambda _: True,
    ) -> None:
        """`reveal` opens the sealed texts of an event.

        `accepts` returns whether a record has the code that the facade requires.
        """
        self._settings = settings
        self._reveal = reveal
        self._accepts = accepts
        self._lock = asyncio.Lock()

    async def read_now(self, stored: StoredJob, timeline: Timeline) -> None:
        """Reads as `read` does. During another reading, it only sets the timeline's note."""
        if self._lock.locked():
            timeline.note = WAITING_NOTE
        else:
            await self.read(stored, timeline)

    async def read(
        self, stored: StoredJob, timeline: Timeline, notify: Callable[[], None] = lambda: None
    ) -> None:
        """Fills the timeline up to the last event of `stored`, or sets a note that says why not.

        Calls `notify` whenever the timeline has changed. An unexpected error is raised too.
        """
        timeline.note = WAITING_NOTE if self._lock.locked() else "Reading the log."
        notify()
        async with self._lock:
            try:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    timeline.note = await self._read(stored, timeline, notify)
            except (KafkaRefusedError, SettingsError) as error:
                timeline.note = str(error)
            except NoSuchLogError:
                timeline.note = (
                    "The topic ends before this job's last event. It may have been created again."
                )
            except (KafkaError, TimeoutError) as error:
                timeline.note = (
                    f"Kafka did not answer ({type(error).__name__}). Reload the page to try again."
                )
            except Exception:
                timeline.note = "Reading failed. The service's log has the details."
                raise
        notify()

    async def _read(self, stored: StoredJob, timeline: Timeline, notify: Callable[[], None]) -> str:
        """Reads the events. Returns the timeline's final note."""
        start, took_s, records = time.monotonic(), 0.0, 0
        job = stored.job
        history = read_history(
            self._settings,
            job.job_id,
            job.state.create_time,
            stored.partition,
            stored.offset + 1,
            self._accepts,
        )
        async with aclosing(history) as batches:
            async for batch in batches:
                for one in batch.events:
                    if one.applied:
                        timeline.add(row_of(self._reveal(one.event)))
                records += batch.records
                took_s = time.monotonic() - start
                if records >= MAX_RECORDS or took_s >= MAX_READ_S:
                    break
                timeline.note = f"Reading the log: {records:,} records so far."
                notify()
                await asyncio.sleep(_PAUSE_S)
        if timeline.sequence >= job.sequence:
            return ""
        if not timeline.sequence and records < MAX_RECORDS and took_s < MAX_READ_S:
            return "The topic no longer holds the job's first events."
        return (
            f"Reading stopped after {took_s:.0f} s and {records:,} records, at event "
            f"{timeline.sequence} of {job.sequence}. `fabric-jobs jobs events` shows all of them."
        )


def row_of(event: Event) -> Row:
    """Returns the row of one event, whose texts are opened, without what a page does not show."""
    state, sequence = event.data.state, event.data.sequence
    kind = type_of(event).removeprefix("fabric.jobs.")
    shown = replace(state, error=None, policy=None)
    row = Row(sequence, sequence, event.time, kind, shown)
    match event:
        case events.Checkpointed():
            return row._replace(checkpoint_bytes=len(bytes(event.data.checkpoint)))
        case events.Requeued():
            return row._replace(reason=event.data.reason)
        case events.AttemptFailed():
            row = row._replace(error=event.data.error)
        case events.Failed():
            row = row._replace(error=state.error)
    if isinstance(event.data, FailedData):
        return row._replace(
            traceback=event.data.traceback or None, log_tail=event.data.log_tail or None
        )
    return row


def _continues(before: Row, row: Row) -> bool:
    """Returns whether the rows are consecutive events of one kind of a run that goes on."""
    same = before.kind == row.kind and row.kind in ("progressed", "checkpointed")
    return same and before.last + 1 == row.first
