"""The rule of the writer and the rule of the reader, over the log and its replica."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from fabric_jobs import events
from fabric_jobs.topics import partition_of
from facade import metrics
from facade.appends import appending
from facade.lifecycle import (
    Command,
    Decision,
    Job,
    Refusal,
    ReportStopped,
    Settled,
    Stamp,
    Undecidable,
    Verdict,
    decide,
)
from facade.log import Log, LogUnavailableError
from facade.replica import Entry, Filter, Replica
from facade.replica.replica import Outcome

#: How often a decision that lost its race is made again.
ROUNDS = 5
#: How long ago the log's end may have been confirmed for an answer that is not final, in seconds.
FRESH_S = 1.0
#: Commands that are under way in a replica, and those of one job; more are told to come again.
MOST_COMMANDS = 4096
MOST_OF_A_JOB = 256
_HEADERS = [("content-type", events.CONTENT_TYPE.encode())]


class RefusedError(Exception):
    """The command was decided against."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.reason = refusal.reason


class Jobs:
    """What HTTP and gRPC ask of the jobs. Nothing that is answered here is ever taken back."""

    def __init__(self, log: Log, replica: Replica, source: str, deadline_s: float) -> None:
        self._log = log
        self._replica = replica
        self._source = source
        self._deadline_s = deadline_s
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unresolved: dict[str, asyncio.Future[Outcome]] = {}
        self._commands = 0
        self._of_job: Counter[str] = Counter()

    async def execute(self, command: Command, read_to: int | None = None) -> Entry:
        """Decides, appends, reads back: the job with the command's effect.

        `read_to` is the position in the job's partition that the command is based on.
        Raises `RefusedError`, and `LogUnavailableError` where the outcome is unknown.
        """
        with self._place(command.job_id):
            return await self._execute_in_turn(command, read_to)

    async def _execute_in_turn(self, command: Command, read_to: int | None) -> Entry:
        async with self._deadline("The log did not confirm it in time."):
            turn = self._turns.setdefault(command.job_id, asyncio.Lock())
            async with turn:
                # An append that timed out may still arrive: it goes first.
                if unresolved := self._unresolved.get(command.job_id):
                    await asyncio.wait([unresolved])
                return await self._execute(command, read_to)

    async def _execute(self, command: Command, read_to: int | None) -> Entry:
        partition = partition_of(command.job_id, self._log.partitions)
        caught_up = False
        for _ in range(ROUNDS):
            decision, entry = self._decide(command)
            if isinstance(decision, Refusal) and not (decision.conclusive or caught_up):
                if read_to is None or isinstance(command, ReportStopped):
                    # A cancel stands anywhere behind the grant that a stopped run names.
                    await self._log.read_to_end()
                else:
                    await self._log.read_to(partition, read_to)
                caught_up = True
                decision, entry = self._decide(command)
            if isinstance(decision, Refusal):
                raise RefusedError(decision)
            if isinstance(decision, Undecidable):
                raise LogUnavailableError(
                    f"The job's last event, {decision.job.event_type}, is of a later version. "
                    "Ask a replica of that version."
                )
            if isinstance(decision, Settled):
                assert entry is not None
                return entry
            before = entry.job if entry else None
            with appending(decision, self._log.topic, partition) as span:
                verdict, applied = await self._append(partition, command, before, decision)
                span.set_attribute("fabric_jobs.verdict", verdict.value)
            if verdict is Verdict.APPLIED and applied:
                return applied
        raise LogUnavailableError("Others changed the job at the same time, again and again.")

    def _decide(self, command: Command) -> tuple[Decision, Entry | None]:
        """The decision on what was read up to now, and the job that it was made on."""
        entry = self._replica.get(command.job_id)
        return decide(entry.job if entry else None, command, self._stamp()), entry

    def known(self, job_id: str) -> bool:
        """Whether the job was read here; another replica may know more."""
        return self._replica.get(job_id) is not None

    async def read(self, job_id: str) -> Entry | None:
        """The job as of now, or none where the log has none.

        Raises `LogUnavailableError` where an unknown id can't be told from one not yet read.
        """
        entry = self._replica.get(job_id)
        if entry is None:
            async with self._deadline("The log's end can't be read."):
                await self._log.read_to_end()
        elif not entry.job.final:
            await self._freshen()
        else:
            return entry
        return self._replica.get(job_id)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None
    ) -> Sequence[Entry]:
        """Jobs, the newest first, as of now."""
        await self._freshen()
        return self._replica.list(which, limit, before)

    def position(self, job_id: str) -> tuple[int, int]:
        """The job's partition, and the position up to which it was read."""
        partition = partition_of(job_id, self._log.partitions)
        return partition, self._log.positions[partition]

    @property
    def positions(self) -> dict[int, int]:
        """The position up to which each partition was read."""
        return self._log.positions

    async def _freshen(self) -> None:
        """Reads to the log's end unless that was done just now; without Kafka, it is as it is."""
        if not self._log.confirmed_within(FRESH_S):
            try:
                async with asyncio.timeout(FRESH_S):
                    await self._log.read_to_end()
            except (LogUnavailableError, TimeoutError):
                pass  # an older answer is better than none, and a final state never goes back

    async def _append(
        self, partition: int, command: Command, before: Job | None, event: events.KnownEvent
    ) -> Outcome:
        read_back = self._replica.expect(event.id)
        begun = time.monotonic()
        try:
            acknowledged = await self._log.append(
                partition, event.subject.encode(), events.encode(event), _HEADERS
            )
        except BaseException:
            read_back.cancel()
            raise

        def failed(acknowledged: asyncio.Future[object]) -> None:
            if read_back.done():
                return
            if acknowledged.cancelled() or acknowledged.exception():
                read_back.set_exception(LogUnavailableError("The append failed; it may be done."))

        def measure(read_back: asyncio.Future[Outcome]) -> None:
            if not (read_back.cancelled() or read_back.exception()):
                verdict, _ = read_back.result()
                metrics.appended(command, before, event, verdict, time.monotonic() - begun)

        acknowledged.add_done_callback(failed)
        read_back.add_done_callback(measure)
        try:
            # Shielded: a caller who leaves must not end the wait that the next one stands behind.
            return await asyncio.shield(read_back)
        except asyncio.CancelledError:
            self._unresolved[event.subject] = read_back
            read_back.add_done_callback(lambda _: self._resolved(event.subject, read_back))
            raise

    def _resolved(self, job_id: str, read_back: asyncio.Future[Outcome]) -> None:
        if self._unresolved.get(job_id) is read_back:
            del self._unresolved[job_id]
        if not read_back.cancelled():
            read_back.exception()  # nobody waits for it any more

    @contextmanager
    def _place(self, job_id: str) -> Iterator[None]:
        """Counts a command while it is under way, if there is room for one more."""
        if self._commands >= MOST_COMMANDS or self._of_job[job_id] >= MOST_OF_A_JOB:
            raise LogUnavailableError(
                "Too many commands are under way in this replica. Send it again after a moment."
            )
        self._commands += 1
        self._of_job[job_id] += 1
        try:
            yield
        finally:
            self._commands -= 1
            self._of_job[job_id] -= 1
            if not self._of_job[job_id]:
                del self._of_job[job_id]

    def _stamp(self) -> Stamp:
        return Stamp(event_id=str(uuid.uuid4()), source=self._source, time=datetime.now(UTC))

    @asynccontextmanager
    async def _deadline(self, message: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except TimeoutError as error:
            raise LogUnavailableError(f"{message} Send it again: repeating is safe.") from error
