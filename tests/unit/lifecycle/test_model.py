"""Replicas, executors and one log that lags, races, repeats and restarts, on the real lifecycle.

The writer's rule is the model's; `decide` and `fold` are the product's. What a replica of another
version makes of an event is simulated by decoding its type as one that it does not know.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs.events import CancelRequested, Event, KnownEvent, Progressed, decode, encode
from fabric_jobs.jobs import JobPhase, Policy, Progress
from facade.lifecycle import (
    Claim,
    Command,
    Expire,
    FailUnstarted,
    ForceCancel,
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
    RequestCancel,
    Retry,
    Settled,
    TimeOutRun,
    Verdict,
    decide,
    fold,
)
from tests.unit.lifecycle.builders import claim, failure, request, stamp

JOBS = tuple(f"00000000-0000-0000-0000-00000000000{digit}" for digit in "ab")
EXECUTORS = ("executor-a", "executor-b", "executor-c")
POLICIES = tuple(Policy(max_attempts=n, initial_backoff_s=0, jitter=0) for n in (3, 99, 99))
#: A type that only the newest replica knows; to it, it says what `progressed` does.
NOTED = "fabric.jobs.noted"
CANCEL_REQUESTED = "fabric.jobs.cancel-requested"
RUN_COMMANDS = (ReportProgress, ReportCompleted, ReportFailed, ReportStopped, HandBack, LoseLease)

ENDS = (ReportCompleted, ReportFailed, ReportFailed, ReportStopped, HandBack)

Run = tuple[str, int, str]
Jobs = dict[str, Job]


def retyped(value: bytes, before: str, after: str) -> bytes:
    """The record with another type, where it has the given one."""
    head = f'{{"type":"{before}"'.encode()
    return value.replace(head, f'{{"type":"{after}"'.encode(), 1) if value[1:2] else value


def shown(jobs: Jobs) -> Jobs:
    """The jobs without what depends on the version that folded them."""
    return {key: replace(job, event_type="", decidable=True) for key, job in jobs.items()}


class Fate(Enum):
    """What becomes of an append."""

    READ = "the replica reads it back at once"
    AWAITED = "the replica will come to read it back"
    TWICE = "it stands on the log twice"
    UNHEARD = "it is appended, and the replica waits no longer"
    LATE = "the append times out; the record comes at any later time, or never"
    NEW_TYPE = "the newest replica says it with a type of its own"


FATES = st.sampled_from([Fate.READ, *(fate for fate in Fate if fate is not Fate.NEW_TYPE)])
PROGRESS_FATES = st.sampled_from([*Fate, Fate.NEW_TYPE])


class Replica:
    """What one process has read and folded, and which of its appends it waits to read back."""

    def __init__(self, name: str, unknown: tuple[str, ...] = (), *, newest: bool = False) -> None:
        self.name, self.unknown, self.newest = name, unknown, newest
        self.jobs: Jobs = {}
        self.position = 0
        self.snapshot: tuple[Jobs, int] = ({}, 0)
        self.waits: dict[str, tuple[str, Command]] = {}

    def decode(self, value: bytes) -> Event:
        """The event as this replica's version has it."""
        if self.newest:
            return decode(retyped(value, NOTED, "fabric.jobs.progressed"))
        for kind in self.unknown:
            value = retyped(value, kind, f"{kind}.of-a-later-version")
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
            Replica("oldest", (CANCEL_REQUESTED,)),
        )
        self.dispatches: list[tuple[str, int, str]] = []
        self.grants: dict[tuple[str, int], str] = {}
        self.ends: dict[Run, Command] = {}
        self.cancels: set[tuple[str, int]] = set()
        self.accepted: dict[str, str] = {}
        self.refused: list[Command] = []
        self.ids = 0

    # What the outside does.

    @initialize()
    def begin(self) -> None:
        """One job is there; the other may follow."""
        self.ask(1, request(JOBS[0]), Fate.READ)

    @rule(
        at=st.integers(0, 1),
        job=st.integers(0, 1),
        executor=st.sampled_from(EXECUTORS),
        policy=st.sampled_from(POLICIES),
    )
    def work(self, at: int, job: int, executor: str, policy: Policy) -> None:
        """All goes well for once: a replica that is up to date takes the job a step on."""
        replica = self.replicas[at]
        self.read_to(replica, len(self.log))
        found = replica.jobs.get(JOBS[job])
        if found is None:
            self.ask(at, request(JOBS[job]), Fate.READ)
        elif found.state.phase is JobPhase.QUEUED:
            attempt, record = found.state.attempt, found.dispatch_id
            self.ask(at, claim(attempt, executor, record, JOBS[job], policy), Fate.READ)
        else:
            self.timer(at, job, Fate.READ)

    @rule(
        at=st.integers(0, 2),
        job=st.integers(0, 1),
        wish=st.sampled_from(("hash-1", "hash-1", "hash-2", "cancel")),
        fate=FATES,
    )
    def wish(self, at: int, job: int, wish: str, fate: Fate) -> None:
        """Fabric asks for a job, perhaps again, perhaps with other content, or for its end."""
        cancel = RequestCancel(job_id=JOBS[job])
        self.ask(at, cancel if wish == "cancel" else request(JOBS[job], wish), fate)

    @precondition(lambda self: self.dispatches)
    @rule(
        at=st.integers(0, 2),
        record=st.integers(0, 9),
        executor=st.sampled_from(EXECUTORS),
        policy=st.sampled_from(POLICIES),
        fate=FATES,
    )
    def claim(self, at: int, record: int, executor: str, policy: Policy, fate: Fate) -> None:
        """An executor claims a dispatching record of the log, a recent one rather than an old."""
        job_id, attempt, event_id = self.dispatches[-1 - record % len(self.dispatches)]
        self.ask(at, claim(attempt, executor, event_id, job_id, policy), fate)

    @precondition(lambda self: self.grants)
    @rule(
        at=st.integers(0, 2),
        run=st.integers(0, 9),
        end=st.sampled_from(ENDS),
        permanent=st.sampled_from((*[False] * 7, True)),
        fate=FATES,
    )
    def end(
        self,
        at: int,
        run: int,
        end: Callable[..., Command],
        permanent: bool,
        fate: Fate,
    ) -> None:
        """A granted run ends in one way, said as often as it likes to any replica."""
        job_id, attempt, executor = self.run(run)
        if end is ReportStopped and (job_id, attempt) not in self.cancels:
            end = ReportFailed
        error = {"error": failure(permanent=permanent)} if end is ReportFailed else {}
        first = end(job_id=job_id, attempt=attempt, executor_id=executor, **error)
        self.ask(at, self.ends.setdefault((job_id, attempt, executor), first), fate)

    @precondition(lambda self: self.grants)
    @rule(
        at=st.integers(0, 2),
        run=st.integers(0, 9),
        tenths=st.integers(0, 10),
        fate=PROGRESS_FATES,
    )
    def progress(self, at: int, run: int, tenths: int, fate: Fate) -> None:
        """A granted run says how far it is; the newest replica may say it in a type of its own."""
        job_id, attempt, executor = self.run(run)
        report = ReportProgress(
            job_id=job_id, attempt=attempt, executor_id=executor, progress=Progress(tenths / 10)
        )
        self.ask(0 if fate is Fate.NEW_TYPE else at, report, fate)

    # What a replica finds by itself, in its own fold.

    @precondition(lambda self: self.grants)
    @rule(at=st.integers(0, 2), job=st.integers(0, 1), fate=FATES)
    def timer(self, at: int, job: int, fate: Fate) -> None:
        """A replica takes the executor of a run for dead, or finds the next attempt due."""
        found = self.replicas[at].jobs.get(JOBS[job])
        if found is None or found.final:
            return
        job_id, attempt, executor = found.job_id, found.state.attempt, found.state.executor_id
        if found.state.phase is JobPhase.WAITING:
            self.ask(at, Retry(job_id=job_id, attempt=attempt), fate)
        elif executor:
            self.ask(at, LoseLease(job_id=job_id, attempt=attempt, executor_id=executor), fate)

    @precondition(lambda self: self.accepted)
    @rule(at=st.integers(0, 2), job=st.integers(0, 1), expires=st.booleans(), fate=FATES)
    def deadline(self, at: int, job: int, expires: bool, fate: Fate) -> None:
        """A replica finds a deadline over: of the start, the run, the cancel, or the whole job."""
        found = self.replicas[at].jobs.get(JOBS[job])
        if found is None or found.final:
            return
        job_id, attempt = found.job_id, found.state.attempt
        command: Command = Expire(job_id=job_id)
        if not expires and found.state.phase is JobPhase.QUEUED:
            command = FailUnstarted(job_id=job_id)
        elif not expires and found.state.phase is JobPhase.RUNNING:
            command = TimeOutRun(job_id=job_id, attempt=attempt)
        elif not expires and found.state.phase is JobPhase.STOPPING:
            command = ForceCancel(job_id=job_id, attempt=attempt)
        self.ask(at, command, fate)

    # What the log and the processes do.

    @precondition(lambda self: self.log)
    @rule(index=st.integers(0, 9))
    def surprise(self, index: int) -> None:
        """A record comes whose append had timed out, or one that is there already comes again."""
        if self.pending:
            self.seen["arrived late"] += 1
            self.append(self.pending.pop(index % len(self.pending)))
        else:
            self.append(self.log[-1 - index % len(self.log)])

    @precondition(lambda self: self.log)
    @rule(at=st.integers(0, 2), count=st.sampled_from((1, 2, 100)))
    def read(self, at: int, count: int) -> None:
        """A replica reads on."""
        self.read_to(self.replicas[at], self.replicas[at].position + count)

    @precondition(lambda self: self.log)
    @rule(at=st.integers(0, 2), what=st.sampled_from(("keep", "resume", "rebuild")))
    def restart(self, at: int, what: str) -> None:
        """A replica keeps rows and position together, or begins again from them or from nothing."""
        replica = self.replicas[at]
        if what == "keep":
            replica.snapshot = (dict(replica.jobs), replica.position)
            return
        rows, replica.position = replica.snapshot if what == "resume" else ({}, 0)
        replica.jobs, replica.waits = dict(rows), {}
        self.seen["restarted"] += 1

    # The rule of the writer.

    def ask(self, at: int, command: Command, fate: Fate) -> None:
        """Decide, append, wait; a refusal that is not conclusive is given at the log's end only."""
        replica = self.replicas[at]
        if command.job_id in replica.waits:
            return
        decision = self.decide(replica, command)
        if isinstance(decision, Refusal) and not decision.conclusive:
            self.read_to(replica, len(self.log))
            decision = self.decide(replica, command)
        if isinstance(decision, KnownEvent):
            self.write(replica, command, decision, fate)
        elif isinstance(decision, Settled):
            self.succeed(command)
        elif isinstance(decision, Refusal):
            self.seen[f"refused: {decision.reason.name}"] += 1
            # Who claims or reports has read what it names; so at the log's end that is final too.
            if decision.conclusive or isinstance(command, (Claim, *RUN_COMMANDS)):
                self.refused.append(command)
                for jobs in self.truth[replica.position :]:
                    self.stays_refused(jobs, command)
        else:
            self.seen["undecidable"] += 1

    def decide(self, replica: Replica, command: Command) -> object:
        """What the replica's own state, however old, says to the command."""
        self.ids += 1
        given = stamp(f"{replica.name}-{self.ids}", self.ids, f"/replicas/{replica.name}")
        job = replica.jobs.get(command.job_id)
        decision = decide(job, command, given)
        assert not isinstance(decision, KnownEvent) or job is None or job.decidable
        return decision

    def write(self, replica: Replica, command: Command, event: KnownEvent, fate: Fate) -> None:
        """Append the event: it is read back, awaited, repeated, unheard of, or late."""
        value = encode(event)
        if fate is Fate.NEW_TYPE and isinstance(event, Progressed):
            value = retyped(value, "fabric.jobs.progressed", NOTED)
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
        elif fate is not Fate.AWAITED:
            self.read_to(replica, len(self.log))

    def append(self, value: bytes) -> None:
        """One record more: the truth is what a replica that knows everything makes of the log."""
        event = self.replicas[0].decode(value)
        before = self.truth[-1].get(event.subject)
        verdict, job = fold(before, event)
        self.seen[verdict.value] += 1
        assert verdict is not Verdict.FORKED
        # The rule of the fold, said again in a line.
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
            if isinstance(event, CancelRequested):
                self.cancels.add((event.subject, job.state.attempt))
            if job.final:
                self.seen[f"ended: {job.state.status}"] += 1
        self.log.append(value)
        self.truth.append({**self.truth[-1], event.subject: job})
        for command in self.refused:
            self.stays_refused(self.truth[-1], command)

    def read_to(self, replica: Replica, position: int) -> None:
        """The replica reads and folds; what it waited for is answered by the fold's verdict."""
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
        """Success is answered: a job is accepted, an attempt is granted."""
        if isinstance(command, Request):
            assert self.accepted.setdefault(command.job_id, command.request_hash)
            assert self.accepted[command.job_id] == command.request_hash
        if isinstance(command, Claim):
            key = (command.job_id, command.attempt)
            self.seen[f"granted: attempt {min(command.attempt, 3)}"] += 1
            assert self.grants.setdefault(key, command.executor_id) == command.executor_id

    def stays_refused(self, jobs: Jobs, command: Command) -> None:
        """What was refused for good is refused by every later state."""
        decision = decide(jobs.get(command.job_id), command, stamp())
        assert isinstance(decision, Refusal), (command, decision)

    def run(self, index: int) -> Run:
        """One of the runs granted so far, a recent one rather than an old."""
        key = list(self.grants)[-1 - index % len(self.grants)]
        return (*key, self.grants[key])

    # What must hold at every step.

    @invariant()
    def every_replica_is_what_its_prefix_says(self) -> None:
        """Replicas that read the same agree with each other, and with a fresh fold of it."""
        for replica in self.replicas:
            assert shown(replica.jobs) == shown(self.truth[replica.position]), replica.name

    @invariant()
    def final_is_final(self) -> None:
        """Once a prefix of the log says that a job ended, every longer one says the same."""
        for before, after in zip(self.truth[-2:-1], self.truth[-1:], strict=False):
            for job_id, job in before.items():
                assert not job.final or after[job_id] == job

    @invariant()
    def what_was_accepted_is_there(self) -> None:
        """Every job answered with 202 is in the log's fold, with the content that was accepted."""
        for job_id, request_hash in self.accepted.items():
            assert self.truth[-1][job_id].state.request_hash == request_hash

    @invariant()
    def every_living_job_has_a_way_on(self) -> None:
        """Without anybody's cancel, some command leads to an event where the type is known."""
        for job in self.truth[-1].values():
            attempt, holder = job.state.attempt, job.state.executor_id or ""
            ways: tuple[Command, ...] = (
                claim(attempt, EXECUTORS[0], job.dispatch_id, job.job_id),
                Retry(job_id=job.job_id, attempt=attempt),
                LoseLease(job_id=job.job_id, attempt=attempt, executor_id=holder),
            )
            led = [isinstance(decide(job, command, stamp()), KnownEvent) for command in ways]
            assert sum(led) == (0 if job.final else 1)


def test_replicas_agree_and_nothing_is_granted_twice_whatever_the_log_does() -> None:
    """The invariants hold in every random run, and the runs do reach what they are about."""
    Service.seen.clear()
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=200,
            stateful_step_count=50,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    seen = Service.seen
    print(dict(seen))
    assert seen["forked"] == 0
    assert min(seen["applied"], seen["lost"]) > 300
    often = ["arrived late", "restarted", "undecidable", "new type"]
    often += [f"granted: attempt {attempt}" for attempt in (1, 2, 3)]
    often += [f"ended: {status}" for status in ("Completed", "Failed", "Cancelled")]
    often += [f"refused: {reason.name}" for reason in Reason]
    assert all(seen[what] >= 3 for what in often), seen
