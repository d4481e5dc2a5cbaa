"""A model of the service: replicas and executors on one log, with lag, races and restarts.

`decide` and `fold` are the product's own; the rule of the writer is modelled here. A replica of an
older version is simulated by decoding an event's type as one that the replica does not know.
"""

from collections import Counter
from enum import Enum
from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine
from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs.contract.events import (
    CancelRequested,
    Event,
    KnownEvent,
    Progressed,
    Started,
    decode,
    encode,
)
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    HandBack,
    Job,
    LoseLease,
    Reason,
    Refusal,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    Request,
    Settled,
    Verdict,
    decide,
    fold,
)
from tests.support.lifecycle import stamp

JOBS = tuple(f"00000000-0000-0000-0000-00000000000{digit}" for digit in "ab")
EXECUTORS = ("executor-a", "executor-b", "executor-c")
#: A type that only the newest replica knows; it means the same as `progressed`.
NOTED = "fabric.jobs.noted"
#: Types that the oldest replica does not know.
UNKNOWN = ("fabric.jobs.cancel-requested", "fabric.jobs.progressed")
RUN_COMMANDS = (ReportProgress, ReportCompleted, ReportFailed, ReportStopped, HandBack, LoseLease)


Run = tuple[str, int, str]
Jobs = dict[str, Job]


def change_type(value: bytes, before: str, after: str) -> bytes:
    """The record with the type `after` if its type is `before`; otherwise the same record."""
    head = f'{{"type":"{before}"'.encode()
    return value.replace(head, f'{{"type":"{after}"'.encode(), 1) if value[1:2] else value


def without_version(jobs: Jobs) -> Jobs:
    """The jobs without the fields that depend on the version that folded them."""
    return {key: replace(job, event_type="", decidable=True) for key, job in jobs.items()}


class Fate(Enum):
    """The outcome of an append."""

    READ = "the replica reads it back at once"
    ACKNOWLEDGED = "the replica applies it at once if it is at its offset, and else reads it later"
    AWAITED = "the replica waits, and reads it back later"
    TWICE = "the log has it twice"
    UNHEARD = "it is appended, but the replica does not wait for it"
    LATE = "the append times out; the record arrives at any later time, or never"
    NEW_TYPE = "the newest replica writes it with a type of its own"


class Replica:
    """A process: the jobs that it has folded, and the appends that it waits to read back."""

    def __init__(self, name: str, unknown: tuple[str, ...] = (), *, newest: bool = False) -> None:
        self.name, self.unknown, self.newest = name, unknown, newest
        self.jobs: Jobs = {}
        self.position = 0
        self.snapshot: tuple[Jobs, int] = ({}, 0)
        self.waits: dict[str, tuple[str, Command]] = {}

    def decode(self, value: bytes) -> Event:
        """The event as this replica's version decodes it."""
        if self.newest:
            return decode(change_type(value, NOTED, "fabric.jobs.progressed"))
        for kind in self.unknown:
            value = change_type(value, kind, f"{kind}.of-a-later-version")
        return decode(value)


class Service(RuleBasedStateMachine):
    """Three replicas of three versions, three executors and two jobs on one log."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.truth: list[Jobs] = [{}]
        self.pending: list[bytes] = []
        self.replicas = (
            Replica("newest", newest=True),
            Replica("middle"),
            Replica("oldest", UNKNOWN),
        )
        self.dispatches: list[tuple[str, int, str]] = []
        self.grants: dict[tuple[str, int], str] = {}
        #: The executor that holds each attempt on the log, whether or not it knows that.
        self.holders: dict[tuple[str, int], str | None] = {}
        self.ends: dict[Run, Command] = {}
        self.cancels: set[tuple[str, int]] = set()
        self.accepted: dict[str, str] = {}
        self.refused: list[Command] = []
        self.ids = 0

    # The rule of the writer.

    def ask(self, at: int, command: Command, fate: Fate) -> None:
        """Decides, appends and waits; reads to the log's end before an inconclusive answer."""
        replica = self.replicas[at]
        if command.job_id in replica.waits:
            return
        decision = self.decide(replica, command)
        if isinstance(decision, Refusal | Settled) and not decision.conclusive:
            self.read_to(replica, len(self.log))
            decision = self.decide(replica, command)
        if isinstance(decision, KnownEvent):
            self.write(replica, command, decision, fate)
        elif isinstance(decision, Settled):
            if isinstance(command, Claim):
                # Otherwise the executor would run the attempt again.
                job = self.truth[-1][command.job_id]
                assert job.state.held
                assert job.state.attempt == command.attempt
            self.succeed(command)
        elif isinstance(decision, Refusal):
            self.seen[f"refused: {decision.reason.name}"] += 1
            # A claim or report names a record of the log, so a refusal at the end is final too,
            # unless the type is paused: after the pause the same attempt may be granted.
            names_a_record = isinstance(command, (Claim, *RUN_COMMANDS))
            if decision.conclusive or (names_a_record and decision.reason is not Reason.PAUSED):
                self.refused.append(command)
                for jobs in self.truth[replica.position :]:
                    self.assert_stays_refused(jobs, command)
        else:
            self.seen["undecidable"] += 1

    def decide(self, replica: Replica, command: Command) -> object:
        """The decision on the replica's own state, however old that is."""
        self.ids += 1
        given = stamp(f"{replica.name}-{self.ids}", self.ids, f"/replicas/{replica.name}")
        job = replica.jobs.get(command.job_id)
        decision = decide(job, command, given)
        assert not isinstance(decision, KnownEvent) or job is None or job.decidable
        if isinstance(command, Claim) and command.paused:
            assert not isinstance(decision, KnownEvent)
        if isinstance(command, RUN_COMMANDS) and isinstance(decision, KnownEvent | Settled):
            assert self.holders[command.job_id, command.attempt] == command.executor_id
        return decision

    def write(self, replica: Replica, command: Command, event: KnownEvent, fate: Fate) -> None:
        """Appends the event with this fate."""
        value = encode(event)
        if fate is Fate.NEW_TYPE and isinstance(event, Progressed):
            value = change_type(value, "fabric.jobs.progressed", NOTED)
            self.seen["new type"] += 1
        if fate is Fate.LATE:
            self.pending.append(value)
            return
        self.append(value)
        if fate is Fate.UNHEARD:
            return
        replica.waits[command.job_id] = (event.id, command)
        if fate is Fate.TWICE:
            self.append(value)
        elif fate is Fate.ACKNOWLEDGED:
            at_its_offset = replica.position == len(self.log) - 1
            self.seen[f"acknowledged, at its offset: {at_its_offset}"] += 1
            if at_its_offset:
                self.read_to(replica, len(self.log))
        elif fate is not Fate.AWAITED:
            self.read_to(replica, len(self.log))

    def append(self, value: bytes) -> None:
        """Appends a record; `truth` folds it as a replica that knows all types would."""
        event = self.replicas[0].decode(value)
        before = self.truth[-1].get(event.subject)
        verdict, job = fold(before, event)
        self.seen[verdict.value] += 1
        assert verdict is not Verdict.FORKED
        # The rule of the fold, stated a second time.
        next_one = event.data.sequence == (before.sequence if before else 0) + 1
        applies = next_one and not (before and before.final)
        assert (verdict is Verdict.APPLIED) == applies
        assert job is not None
        if dispatches := event.data.dispatch is not UNSET:
            self.dispatches.append((event.subject, event.data.state.attempt, event.id))
        if applies:
            attempt = before.state.attempt if before else 0
            assert job.state.attempt == attempt + dispatches
            assert not dispatches or job.dispatch_id == event.id
            if isinstance(event, Started):
                self.holders[event.subject, job.state.attempt] = job.state.executor_id
            if isinstance(event, CancelRequested):
                self.cancels.add((event.subject, job.state.attempt))
            if job.final:
                self.seen[f"ended: {job.state.status}"] += 1
                self.seen["exhausted"] += job.state.exhausted
                began = job.state.attempt_start_time or job.state.create_time
                assert job.state.end_time
                assert began <= job.state.end_time <= event.time
                self.seen["ended before it was reported"] += job.state.end_time < event.time
        self.log.append(value)
        self.truth.append({**self.truth[-1], event.subject: job})
        for command in self.refused:
            self.assert_stays_refused(self.truth[-1], command)

    def read_to(self, replica: Replica, position: int) -> None:
        """The replica reads and folds up to the position, and answers appends that it awaits."""
        while replica.position < min(position, len(self.log)):
            event = replica.decode(self.log[replica.position])
            verdict, job = fold(replica.jobs.get(event.subject), event)
            assert verdict is not Verdict.FORKED
            assert job is not None
            replica.jobs[event.subject] = job
            replica.position += 1
            event_id, command = replica.waits.get(event.subject, (None, None))
            if command is not None and event.id == event_id:
                del replica.waits[event.subject]
                if verdict is Verdict.APPLIED:
                    self.succeed(command)

    def succeed(self, command: Command) -> None:
        """Answers a command with success: a job is accepted, or an attempt is granted."""
        if isinstance(command, Request):
            assert self.accepted.setdefault(command.job_id, command.request_hash)
            assert self.accepted[command.job_id] == command.request_hash
        if isinstance(command, Claim):
            key = (command.job_id, command.attempt)
            self.seen[f"granted: attempt {min(command.attempt, 3)}"] += 1
            assert self.grants.setdefault(key, command.executor_id) == command.executor_id

    def assert_stays_refused(self, jobs: Jobs, command: Command) -> None:
        """Asserts that a command that was finally refused is refused in this later state too."""
        decision = decide(jobs.get(command.job_id), command, stamp())
        assert isinstance(decision, Refusal), (command, decision)

    def run(self, index: int) -> Run:
        """A granted run, more often a recent one; for an index above 7 with a wrong executor."""
        key = list(self.grants)[-1 - index % len(self.grants)]
        holder = self.grants[key]
        stranger = EXECUTORS[EXECUTORS.index(holder) - 1]
        return (*key, stranger if index > 7 else holder)
