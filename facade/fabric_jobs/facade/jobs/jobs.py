"""Executes commands on jobs and reads jobs, over the log and the replica.

A command is decided on the state that this replica has applied. Its event is appended, and the
answer is what the fold made of that event once this replica has applied it.
A read of a job that is not final first reads the log to its end, so that no answer is older than
one that any replica gave before.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from fabric_jobs.facade.clock import utc_now
from fabric_jobs.facade.jobs.appends import Append, Appends
from fabric_jobs.facade.jobs.deadline import Deadline
from fabric_jobs.facade.jobs.decider import Decider
from fabric_jobs.facade.jobs.errors import (
    RefusedError,
    UnavailableError,
    UnavailableReason,
    map_log_errors,
    sealed_error,
)
from fabric_jobs.facade.jobs.turns import Turn, Turns
from fabric_jobs.facade.lifecycle import (
    Command,
    Job,
    Reason,
    Refusal,
    ReportStopped,
    Request,
    RequestCancel,
    Settled,
    Undecidable,
    Verdict,
)
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.facade.replica import Filter, Replica, StoredJob
from fabric_jobs.facade.sealing import Content, JobSecrets, SealedError
from fabric_jobs.runtime.kafka.partitions import partition_of

#: Decisions for one command; another follows only if the event lost a race.
MAX_ROUNDS = 5
#: Seconds that a read waits for the log's end while Kafka is away.
READ_TO_END_S = 1.0


class Jobs:
    """Commands and reads for HTTP, gRPC, timers and leases. No answer is ever taken back."""

    def __init__(
        self,
        log: Log,
        replica: Replica,
        source: str,
        deadline_s: float,
        secrets: JobSecrets,
        find_fault: Callable[[Command], UnavailableError | None] = lambda command: None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`source` is this facade's name in its events, and `now` returns their time.

        `secrets` seals what is appended.

        `find_fault` returns why this facade can't append the event of a command that is decided
        now; None if it can.
        """
        self._log = log
        self._replica = replica
        self.secrets = secrets
        self._find_fault = find_fault
        self._decider = Decider(replica, secrets, source, now)
        self._deadline = Deadline(deadline_s)
        self._read_limit = Deadline(READ_TO_END_S)
        self._turns = Turns()
        self._appends = Appends(log, replica, self._turns)

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Decides, appends and waits; returns the job with the command's effect.

        `read_to` is the position in the job's partition that the command is based on.
        Raises `RefusedError` and `UnavailableError`.
        """
        with map_log_errors():
            turn = self._turns.enter(command.job_id)
            try:
                with self._deadline.limit():
                    async with turn.lock:
                        # An append that timed out may still arrive: its outcome comes first.
                        if turn.unresolved:
                            await asyncio.wait([turn.unresolved])
                        return await self._execute(command, read_to)
            except TimeoutError as error:
                raise _timeout(turn) from error
            finally:
                self._turns.leave(command.job_id)

    async def _execute(self, command: Command, read_to: int | None) -> StoredJob:
        partition = self.partition(command.job_id)
        caught_up = False
        for _ in range(MAX_ROUNDS):
            decision, stored = self._decider.decide(command, read_to)
            if isinstance(decision, Refusal | Settled) and not (decision.conclusive or caught_up):
                if (
                    read_to is None
                    or isinstance(decision, Settled)
                    or isinstance(command, ReportStopped)
                    or decision.reason in (Reason.PAUSED, Reason.SEALED)
                ):
                    # A stopped run names its grant, and the cancel comes later on the log. A claim
                    # names its dispatch, and a grant before the pause, or by a facade that has the
                    # key, comes later on the log. So does what has undone a settled effect: an
                    # executor may read the record of a run again that it has ended.
                    await self._log.read_to_end()
                else:
                    await self._log.read_to(partition, read_to)
                caught_up = True
                decision, stored = self._decider.decide(command, read_to)
            if isinstance(decision, Refusal):
                raise RefusedError(decision)
            if isinstance(decision, Undecidable):
                raise UnavailableError(
                    UnavailableReason.NEWER_VERSION,
                    f"The job's last event, {decision.job.event_type}, is of a later version. "
                    "Ask a facade of that version.",
                )
            if isinstance(decision, Settled):
                assert stored is not None
                if isinstance(command, RequestCancel) and not stored.job.final:
                    # The answer shows the job, so the cancel is a read of it too.
                    await self.freshen()
                    stored = self._replica.get(command.job_id) or stored
                return stored
            if fault := self._find_fault(command):
                raise fault
            event = self.secrets.seal(decision)
            append = Append(command, stored.job if stored else None, event)
            verdict, applied = await self._appends.append(append, partition)
            if verdict is Verdict.APPLIED and applied:
                if isinstance(command, Request) and self._replica.get(command.job_id) is None:
                    raise _wrong_clocks_error(partition)
                return applied
        raise UnavailableError(
            UnavailableReason.CONTENDED,
            f"Other writers changed the job {MAX_ROUNDS} times before this command. "
            "Send the command again: repeating is safe.",
        )

    def content(self, job: Job) -> Content:
        """The job's payload, definition and checkpoint. Raises `UnavailableError`."""
        with map_log_errors():
            try:
                return self.secrets.content(job)
            except SealedError as error:
                raise sealed_error(error) from error

    def has_room(self, tenant_id: str, limit: int) -> bool:
        """Whether the tenant has fewer than `limit` unfinished jobs."""
        with map_log_errors():
            return self._replica.has_room(tenant_id, limit)

    def is_known(self, job_id: str) -> bool:
        """Whether this replica has read the job; another replica may have read more."""
        with map_log_errors():
            return self._replica.get(job_id) is not None

    async def find(self, job_id: str) -> StoredJob | None:
        """The job as this replica has read it, or None if the log does not hold it.

        Another replica may have changed the job since, but never its identity. Raises
        `UnavailableError` if the job is unknown here and the log's end can't be read.
        """
        with map_log_errors():
            if stored := self._replica.get(job_id):
                return stored
            try:
                with self._deadline.limit():
                    await self._log.read_to_end()
            except TimeoutError as error:
                raise UnavailableError(
                    UnavailableReason.LOG_UNREACHABLE,
                    "The log's end was not read in time. Ask again after a moment.",
                ) from error
            return self._replica.get(job_id)

    async def read(self, job_id: str) -> StoredJob | None:
        """The job as it is now, or None if the log does not hold it.

        Raises `UnavailableError` if the log's end can't be read, and the job is unknown here or the
        log is being read from its beginning.
        """
        stored = await self.find(job_id)
        if stored is None or stored.job.final:
            return stored
        with map_log_errors():
            await self.freshen()
            return self._replica.get(job_id)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None
    ) -> tuple[Sequence[StoredJob], dict[int, int]]:
        """Jobs as they are now, the newest first, and each partition's position behind them."""
        with map_log_errors():
            await self.freshen()
        # Copied before the query, because the replica reads on during the query.
        positions = dict(self._log.positions)
        with map_log_errors():
            return await self._replica.list(which, limit, before), positions

    def partition(self, job_id: str) -> int:
        """The partition of the job's events."""
        return partition_of(job_id, self._log.partitions)

    def position(self, job_id: str) -> tuple[int, int]:
        """The job's partition, and the offset of the next record that is read there."""
        partition = self.partition(job_id)
        return partition, self._log.positions[partition]

    async def freshen(self) -> None:
        """Reads to the log's end; gives up after `READ_TO_END_S` if Kafka does not answer.

        Raises `UnavailableError` if the log is being read from its beginning, because the replica's
        jobs are incomplete then.
        """
        try:
            with self._read_limit.limit():
                await self._log.read_to_end()
        except (LogUnavailableError, TimeoutError) as error:
            # An older answer is better than none, and a final state never changes.
            if not self._log.caught_up:
                raise UnavailableError(
                    UnavailableReason.LOG_UNREACHABLE,
                    "This facade reads the log from its beginning. Ask another one.",
                ) from error


def _wrong_clocks_error(partition: int) -> UnavailableError:
    """The error of a create whose job every replica has already forgotten.

    The partition has an event whose times are so late that replicas forget the new job.
    """
    return UnavailableError(
        UnavailableReason.CLOCK_WRONG,
        f"The clocks of the broker and of the facade that wrote to partition {partition} are days "
        "behind, or were days ahead. Set both clocks.",
    )


def _timeout(turn: Turn) -> UnavailableError:
    """The error of a command that reached its deadline; an event of its job may be in flight."""
    if turn.unresolved:
        return UnavailableError(
            UnavailableReason.OUTCOME_UNKNOWN,
            "An event of the job was not applied here in time, and may still take effect. "
            "Send the command again: repeating is safe.",
        )
    return UnavailableError(
        UnavailableReason.LOG_UNREACHABLE,
        "Kafka did not answer in time. Send the command again: repeating is safe.",
    )
