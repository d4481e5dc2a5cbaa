"""The rule of the writer and the rule of the reader, over the log and its replica."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from fabric_jobs.contract import events
from fabric_jobs.facade.jobs.appends import Append, appending
from fabric_jobs.facade.jobs.deadline import Deadline
from fabric_jobs.facade.jobs.turns import Turns
from fabric_jobs.facade.lifecycle import (
    Command,
    Decision,
    Refusal,
    ReportStopped,
    Settled,
    Stamp,
    Undecidable,
    Verdict,
    decide,
)
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.facade.replica import Filter, Replica, StoredJob
from fabric_jobs.facade.replica.replica import Outcome
from fabric_jobs.runtime.kafka.partitions import partition_of

#: How often a decision that lost its race is made again.
MAX_ROUNDS = 5
#: How long ago the log's end may have been confirmed for an answer that is not final, in seconds.
FRESH_S = 1.0
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
        self._deadline = Deadline(deadline_s)
        self._turns = Turns()

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Decides, appends, reads back: the job with the command's effect.

        `read_to` is the position in the job's partition that the command is based on.
        Raises `RefusedError`, and `LogUnavailableError` where the outcome is unknown.
        """
        turn = self._turns.enter(command.job_id)
        try:
            with self._deadline.limit():
                async with turn.lock:
                    # An append that timed out may still arrive: it goes first.
                    if turn.unresolved:
                        await asyncio.wait([turn.unresolved])
                    return await self._execute(command, read_to)
        except TimeoutError as error:
            raise _too_late("The log did not confirm it in time.") from error
        finally:
            self._turns.leave(command.job_id)

    async def _execute(self, command: Command, read_to: int | None) -> StoredJob:
        partition = partition_of(command.job_id, self._log.partitions)
        caught_up = False
        for _ in range(MAX_ROUNDS):
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
            append = Append(command, entry.job if entry else None, decision)
            with appending(decision, self._log.topic, partition) as span:
                verdict, applied = await self._append(append, partition)
                span.set_attribute("fabric_jobs.verdict", verdict.value)
            if verdict is Verdict.APPLIED and applied:
                return applied
        raise LogUnavailableError("Others changed the job at the same time, again and again.")

    def _decide(self, command: Command) -> tuple[Decision, StoredJob | None]:
        """The decision on what was read up to now, and the job that it was made on."""
        entry = self._replica.get(command.job_id)
        return decide(entry.job if entry else None, command, self._stamp()), entry

    def known(self, job_id: str) -> bool:
        """Whether the job was read here; another replica may know more."""
        return self._replica.get(job_id) is not None

    async def read(self, job_id: str) -> StoredJob | None:
        """The job as of now, or none where the log has none.

        Raises `LogUnavailableError` where an unknown id can't be told from one not yet read.
        """
        entry = self._replica.get(job_id)
        if entry is None:
            try:
                with self._deadline.limit():
                    await self._log.read_to_end()
            except TimeoutError as error:
                raise _too_late("The log's end can't be read.") from error
        elif not entry.job.final:
            await self.freshen()
        else:
            return entry
        return self._replica.get(job_id)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None
    ) -> tuple[Sequence[StoredJob], dict[int, int]]:
        """Jobs, the newest first, as of now; and each partition's position that they reflect."""
        await self.freshen()
        # Taken with the question: while it is answered, more is read.
        positions = dict(self._log.positions)
        return await self._replica.list(which, limit, before), positions

    def position(self, job_id: str) -> tuple[int, int]:
        """The job's partition, and the position up to which it was read."""
        partition = partition_of(job_id, self._log.partitions)
        return partition, self._log.positions[partition]

    async def freshen(self) -> None:
        """Reads to the log's end unless that was done just now; without Kafka, it is as it is."""
        if not self._log.is_confirmed_within(FRESH_S):
            try:
                async with asyncio.timeout(FRESH_S):
                    await self._log.read_to_end()
            except (LogUnavailableError, TimeoutError):
                pass  # an older answer is better than none, and a final state never goes back

    async def _append(self, append: Append, partition: int) -> Outcome:
        event = append.event
        self._replica.expect(event.id, append.read_back)
        try:
            acknowledged = await self._log.append(
                partition, event.subject.encode(), events.encode(event), _HEADERS
            )
        except BaseException:
            self._replica.forget(event.id)
            raise
        acknowledged.add_done_callback(append.acknowledged)
        try:
            return await self._outcome(append)
        except asyncio.CancelledError:
            self._turns.leave_unresolved(event.subject, self._outcome(append))
            raise

    async def _outcome(self, append: Append) -> Outcome:
        try:
            return await append.outcome()
        except LogUnavailableError:
            self._replica.forget(append.event.id)
            raise

    def _stamp(self) -> Stamp:
        return Stamp(event_id=str(uuid.uuid4()), source=self._source, time=datetime.now(UTC))


def _too_late(message: str) -> LogUnavailableError:
    return LogUnavailableError(f"{message} Send it again: repeating is safe.")
