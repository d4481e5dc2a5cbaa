"""Bugs that are put into the product again, to measure which suite finds them.

Each is a small change of one function, by name, so that it survives changes elsewhere.
"""

from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from aiokafka.errors import OffsetOutOfRangeError

import tests.simulation.lifecycle_bugs  # noqa: F401 - it registers its bugs
from fabric_jobs.executor.dispatch.offsets import Offsets
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue
from fabric_jobs.executor.runs.run import Run
from fabric_jobs.executor.runs.runs import Runs
from fabric_jobs.executor.session.latest_sender import LatestSender
from fabric_jobs.executor.session.outbox import Outbox
from fabric_jobs.executor.session.session import Session as ExecutorSession
from fabric_jobs.executor.session.status_client import Accepted
from fabric_jobs.facade import clock as clock_module
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs import decider as decider_module
from fabric_jobs.facade.jobs.appends import Append
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.turns import Turns
from fabric_jobs.facade.lifecycle import (
    JobDeadline,
    Verdict,
    next_deadline,
)
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.facade.log.verification import Verification
from fabric_jobs.facade.maintenance import timers as timers_module
from fabric_jobs.facade.maintenance.attention import Attention
from fabric_jobs.facade.maintenance.leases import Leases
from fabric_jobs.facade.maintenance.timers import Timers
from fabric_jobs.facade.replica import Replica, StateError, Store
from fabric_jobs.facade.replica.state_file import StateFailure
from fabric_jobs.facade.replica.writer import Writer
from fabric_jobs.facade.rpc.heartbeat_publisher import HeartbeatPublisher
from fabric_jobs.facade.rpc.offers import OfferLoop
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.runtime.kafka.partitions import partition_of
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.simulation.bug_registry import (
    BUGS,
    Bug,
    bug,
    nothing,
    nothing_async,
    replaced_in_tests_too,
)
from tests.simulation.loop import PLACE

__all__ = ["BUGS", "installed_bug"]

#: The bugs that replace one function: its owner, its name and the replacement.
_REPLACED: dict[str, tuple[Any, str, Any]] = {
    "a facade's own pause counts as silence": (
        Attention,
        "look",
        lambda self: 0.0 if self._ready() else None,
    ),
    "a deadline fires before its report was heard": (
        Timers,
        "_may_report",
        lambda *_: False,
    ),
    "the time of events follows a step of the wall clock": (
        Clock,
        "now",
        lambda self: clock_module.utc_now(),
    ),
    "a claim of another record is granted": (
        decider_module,
        "_is_of_another_record",
        lambda *_: False,
    ),
    "offsets are committed before claims are decided": (Offsets, "mark_undecided", nothing),
    "entries are not sent again on the next stream": (Outbox, "resend_all", nothing),
    "offers are not made": (OfferLoop, "run_round", nothing),
    "a heartbeat renews no lease": (Leases, "renew", nothing),
    "a cancel is not pushed": (Sessions, "_on_change", nothing),
    "a superseded run is not stopped": (Session, "_check_run", nothing),
    "a hand-back is forgotten": (Run, "hand_back", nothing),
    "a pause is forgotten by the reader": (Controls, "apply", nothing),
    "a record is read again and claimed twice": (
        Runs,
        "wants",
        lambda self, dispatched: dispatched.handler_key in self._handlers,
    ),
    "an append outlives its turn": (
        Turns,
        "leave_unresolved",
        lambda self, job_id, resolving: resolving.close(),
    ),
    "a rebalance does not empty the ready queue": (ReadyQueue, "clear", lambda self: []),
    "a read is not taken at the log's end": (Jobs, "freshen", nothing_async),
    "a miss is answered before the log was read": (Log, "read_to_end", nothing_async),
    "the position that a command names is not read": (Log, "read_to", nothing_async),
    "heartbeats are not shared with other facades": (
        HeartbeatPublisher,
        "_publish",
        nothing_async,
    ),
    "the last checkpoint and progress are not sent": (LatestSender, "close", nothing_async),
    "a lease that ran out is not taken": (Leases, "_take_expired", nothing_async),
    "lost records raise no alert": (Verification, "_report_all_lost", nothing),
}
for _name, _replaced in _REPLACED.items():
    _module = getattr(_replaced[0], "__module__", None) or _replaced[0].__name__
    BUGS[_name] = Bug(partial(patch.object, *_replaced), _module)


@bug("a deadline fires although the job has changed since it was found due", Timers)
def _fires_what_has_changed() -> AbstractContextManager[Any]:
    def wrong(job: Any, longest_life: timedelta) -> Any:
        deadline = next_deadline(job, longest_life)
        return deadline and JobDeadline(datetime.min.replace(tzinfo=UTC), deadline.command)

    return patch.object(timers_module, "next_deadline", wrong)


@bug("a record is skipped while another record of its attempt is claimed", Runs)
def _skips_other_records() -> AbstractContextManager[Any]:
    wants = Runs.wants

    def wrong(self: Any, dispatched: Any) -> bool:
        waiting = [attempt.dispatched for *_, attempt in self._ready._waiting.values()]
        known = {(one.job_id, one.attempt) for one in (*waiting, *self._runs.values())}
        return wants(self, dispatched) and (dispatched.job_id, dispatched.attempt) not in known

    return patch.object(Runs, "wants", wrong)


@bug("facades disagree about a job's partition", partition_of)
def _partitions_differ() -> AbstractContextManager[Any]:
    def wrong(job_id: str, partitions: int) -> int:
        place = PLACE.get()
        shift = 1 if place and place.name == "facade-1" else 0
        return (partition_of(job_id, partitions) + shift) % partitions

    return replaced_in_tests_too({partition_of: wrong})


@bug("an acknowledged append counts as applied, whoever won the race", Append)
def _answers_at_acknowledgement() -> AbstractContextManager[Any]:
    original = Append.resolve

    def wrong(self: Any, outcome: Any) -> None:
        original(self, (Verdict.APPLIED, *outcome[1:]))

    return patch.object(Append, "resolve", wrong)


@bug("a handler runs before its claim is granted", Run)
def _runs_ungranted() -> AbstractContextManager[Any]:
    original = Run._claim

    async def wrong(self: Any) -> Any:
        answer = await original(self)
        if isinstance(answer, Accepted):
            return answer
        return Accepted(pb.Record(event_id="none"))

    return patch.object(Run, "_claim", wrong)


@bug("a run that was told to stop still reports", Run)
def _reports_after_revoke() -> AbstractContextManager[Any]:
    return patch.object(Run, "revoke", Run.cancel)


@bug("an undecided answer counts as a refusal", ExecutorSession)
def _gives_up() -> AbstractContextManager[Any]:
    async def wrong(self: Any, entry: Any, known: Any) -> Any:
        refused = pb.Refusal(reason=pb.REFUSAL_REASON_SUPERSEDED)
        return pb.Answer(entry_id=entry.entry_id, refused=refused)

    return patch.object(ExecutorSession, "_ask_again", wrong)


@bug("the checkpoint of the file is ahead of its rows", Store)
def _skips_records() -> AbstractContextManager[Any]:
    original = Store._write_pending

    def wrong(self: Any, max_before: int) -> None:
        self._memory._pending = dict(list(self._memory._pending.items())[1:])
        original(self, max_before)

    return patch.object(Store, "_write_pending", wrong)


@bug("after a restart the tail begins at the log's end", Tail)
def _begins_at_the_end() -> AbstractContextManager[Any]:
    original = Tail._resume

    async def wrong(self: Any, consumer: Any) -> None:
        await original(self, consumer)
        if any(self.positions.values()):
            for partition, end in (await consumer.end_offsets(self._assignment)).items():
                consumer.seek(partition, end)

    return patch.object(Tail, "_resume", wrong)


@bug("a waiting job is not offered after its type was resumed", Replica)
def _forgets_paused() -> AbstractContextManager[Any]:
    original = Replica.queued_jobs

    def wrong(self: Any, *args: Any, **options: Any) -> Any:
        return [one for one in original(self, *args, **options) if one.job.state.attempt > 1]

    return patch.object(Replica, "queued_jobs", wrong)


@bug("a failed state file still answers", StateFailure)
def _uses_failed_files() -> AbstractContextManager[Any]:
    return patch.object(StateFailure, "raise_if_failed", nothing)


@bug("an offset out of range makes the facade forget its jobs", Tail)
def _forgets_jobs() -> AbstractContextManager[Any]:
    original = Tail._read

    async def wrong(self: Any) -> None:
        try:
            await original(self)
        except OffsetOutOfRangeError:
            self._must_begin_again = True
            raise

    return patch.object(Tail, "_read", wrong)


@bug("a state file that fails while the facade forgets its jobs still answers", StateFailure)
def _answers_half_cleared() -> AbstractContextManager[Any]:
    raise_if_failed, original = StateFailure.raise_if_failed, Writer._run_in_turn

    def run_in_turn(self: Any, function: Any, argument: Any) -> Any:
        raise_if_failed(self._failure)
        return original(self, function, argument)

    begin_again = Tail._begin_again

    def fail_unnoticed(self: Any) -> None:
        generation = self.generation
        try:
            begin_again(self)
        except StateError:
            self.generation = generation
            raise

    bugs = ExitStack()
    bugs.enter_context(patch.object(Tail, "_begin_again", fail_unnoticed))
    bugs.enter_context(_uses_failed_files())
    bugs.enter_context(patch.object(Writer, "_run_in_turn", run_in_turn))
    bugs.enter_context(_forgets_jobs())
    return bugs


def installed_bug(name: str) -> AbstractContextManager[Any]:
    """Puts a bug into the product until the block ends."""
    return BUGS[name].install()
