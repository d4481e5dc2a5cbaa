"""A breadth-first search of all interleavings of two executors, two replicas and two attempts.

A replica decides on the records that it has read so far, appends, and waits until it reads its own
record. An acknowledgement applies the record only in a replica that has read everything before it,
so it is the same step as reading it. The states contain numbers in place of jobs, events and
commands, so that equal states compare equal, and `decide` and `fold` are called once for each pair.
Options add an append that times out, whose record arrives at any later time or never, or leave
commands out.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs.contract.events import Checkpointed, Event, KnownEvent, decode, encode
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobPhase, Policy
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    Expire,
    FailUnstarted,
    Job,
    Refusal,
    ReportCompleted,
    ReportFailed,
    SaveCheckpoint,
    Settled,
    Verdict,
    decide,
    fold,
)
from tests.support.lifecycle import (
    JOB,
    A,
    B,
    cancel,
    claim,
    deadline_commands,
    lose_lease,
    report_completed,
    report_failed,
    request,
    retry,
    save_checkpoint,
    stamp,
)

TWO_ATTEMPTS = Policy(max_attempts=2, initial_backoff_s=0, jitter=0)
EXECUTORS = (A, B)
PAUSED = frozenset({JobKind(request().item_type, request().job_type)})

Grants = frozenset[tuple[int, str]]
#: A record of the log: the event, and whether it is the job's next one there.
Record = tuple[int, bool]


class Replica(NamedTuple):
    """The job that it has folded, the records to read, and the event that it waits for."""

    job: int
    unread: tuple[Record, ...]
    waits: int | None
    command: int | None


class State(NamedTuple):
    """The service at one moment; `truth` is the fold of all records of the log."""

    truth: int
    replicas: tuple[Replica, Replica]
    #: The attempt and the id of every dispatching record of the log.
    dispatches: frozenset[tuple[int, str]]
    grants: Grants
    #: The record whose append timed out, until it arrives; at most one append times out.
    late: int | None
    may_time_out: bool


class Search:
    """The states that were reached, and the moves of the job in the truth of the log."""

    def __init__(
        self, *, deciding: int = 2, late: bool = False, left_out: tuple[type, ...] = ()
    ) -> None:
        #: How many replicas decide; whether one append of the last of them may time out; the types
        #: of commands that nobody gives.
        self.deciding, self.late, self.left_out = deciding, late, left_out
        self.things: list[object] = [None]
        self.numbers: dict[object, int] = {None: 0}
        self.moves: set[tuple[int, int]] = set()
        self.transitions = 0
        self.jobs: set[int] = {0}
        self.decide = cache(self._decide)
        self.fold = cache(self._fold)
        self.commands_for = cache(self._commands_for)
        self.states = self.explore()

    def number(self, thing: Job | Event | Command | None) -> int:
        """The number of a job, an event or a command; equal ones have the same number."""
        key = encode(thing) if isinstance(thing, Event) else thing
        if key not in self.numbers:
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]

    def job(self, number: int) -> Job | None:
        """The job with this number."""
        job = self.things[number]
        assert job is None or isinstance(job, Job)
        return job

    def is_held(self, number: int) -> bool:
        """Whether an executor holds an attempt of the job with this number."""
        job = self.job(number)
        return job is not None and job.state.held

    def phase(self, number: int) -> str:
        """The phase of the job with this number."""
        job = self.job(number)
        return job.state.phase if job else "Unknown"

    def sequence(self, number: int) -> int:
        """The sequence of the job with this number."""
        job = self.job(number)
        return job.sequence if job else 0

    def _decide(self, job: int, command: int, who: str) -> object:
        before, asked = self.job(job), self.things[command]
        assert isinstance(asked, Command)
        sequence = before.sequence + 1 if before else 1
        # A replica appends once at each sequence, because it then waits for its own record.
        event_id = f"{sequence}-{who}-{type(asked).__name__}"
        decision = decide(before, asked, stamp(event_id))
        return self.number(decision) if isinstance(decision, KnownEvent) else decision

    def _fold(self, job: int, event: int) -> tuple[bool, int]:
        given = self.things[event]
        assert isinstance(given, Event)
        verdict, after = fold(self.job(job), decode(encode(given)))
        assert verdict is not Verdict.FORKED
        return verdict is Verdict.APPLIED, self.number(after)

    def explore(self) -> set[State]:
        """All states that can be reached, found breadth first."""
        idle = Replica(0, (), None, None)
        first = State(0, (idle, idle), frozenset(), frozenset(), None, self.late)
        # Two replicas create the job at once: one record wins, and the loser must start nothing.
        for who in ("r0", "r1"):
            requested = self.decide(0, self.number(request()), who)
            assert isinstance(requested, int)
            first = self.append(first, requested)
        seen, frontier = {first}, [first]
        while frontier:
            reached: list[State] = []
            for state in frontier:
                self.check(state)
                for after in self.after(state):
                    self.transitions += 1
                    if after not in seen:
                        seen.add(after)
                        reached.append(after)
            frontier = reached
        return seen

    def after(self, state: State) -> Iterator[State]:
        """The states that can follow in one step."""
        for at in (0, 1):
            if state.replicas[at].unread:
                yield self.read(state, at)
        if state.late is not None:
            yield self.append(state._replace(late=None), state.late)
        # Executors are alike, and so are replicas unless only one of them may time out. So the
        # first of them acts first: the other order would give the same states.
        begun = state.may_time_out != self.late or self.sequence(state.truth) > 1
        for at, replica in enumerate(state.replicas[: self.deciding if begun or self.late else 1]):
            if replica.waits is None:
                executors = EXECUTORS if begun else EXECUTORS[:1]
                commands = self.commands_for(
                    replica.job, f"r{at}", state.dispatches, state.grants, executors
                )
                for command, event in commands:
                    yield from self.answer(state, at, command, event)

    def _commands_for(
        self,
        number: int,
        who: str,
        dispatches: frozenset[tuple[int, str]],
        grants: Grants,
        executors: tuple[str, ...],
    ) -> list[tuple[int, int | Settled]]:
        """The commands that a replica with this job may get, each with its event or its settlement.

        An executor claims any dispatch on the log, and also reports on runs of others. Refused
        commands are left out.
        """
        asked: list[Command] = [cancel()]
        for (attempt, dispatch_id), executor in product(dispatches, executors):
            asked.append(claim(attempt, executor, dispatch_id, policy=TWO_ATTEMPTS))
            asked.append(replace(asked[-1], paused=PAUSED))
        granted = {attempt for attempt, _ in grants}
        for attempt, executor in product(granted, EXECUTORS):
            asked += [report_completed(attempt, executor), report_failed(attempt, executor)]
            asked.append(save_checkpoint(attempt, executor, b"%d" % attempt))
        if job := self.job(number):
            if job.state.phase is JobPhase.WAITING:
                asked.append(retry(job.state.attempt))
            elif job.state.executor_id:
                asked.append(lose_lease(job.state.attempt, job.state.executor_id))
                asked += deadline_commands(job.state.attempt)
            asked += [Expire(job_id=JOB), FailUnstarted(job_id=JOB)]
        answered: list[tuple[int, int | Settled]] = []
        for command in asked:
            if not isinstance(command, self.left_out):
                decision = self.decide(number, self.number(command), who)
                if isinstance(command, ReportCompleted | ReportFailed | SaveCheckpoint):
                    own = (command.attempt, command.executor_id) in grants
                    assert own or isinstance(decision, Refusal)
                if isinstance(command, Claim) and command.paused:
                    assert not isinstance(decision, int)  # a pause grants nothing
                if isinstance(decision, int | Settled):
                    answered.append((self.number(command), decision))
                else:
                    assert isinstance(decision, Refusal)
        return answered

    def answer(self, state: State, at: int, command: int, event: int | Settled) -> Iterator[State]:
        """The states after the command: it succeeds, or its record is appended, or comes late."""
        replica = state.replicas[at]
        if isinstance(event, Settled):
            # If it is not conclusive, the replica reads to the log's end first.
            if event.conclusive or not replica.unread:
                # Otherwise the executor would run the attempt again.
                assert not isinstance(self.things[command], Claim) or self.is_held(state.truth)
                yield state._replace(grants=self.add_grant(state.grants, command))
            return
        waiting = replica._replace(waits=event, command=command)
        after = self.append(self.put(state, at, waiting), event)
        # Until it reads its own record it can only read on, and nobody sees how far it is.
        while after.replicas[at].unread[0][0] != event:
            after = self.read(after, at)
        yield after
        if state.may_time_out and at == self.deciding - 1:
            late = self.decide(replica.job, command, f"r{at}-late")
            assert isinstance(late, int)
            yield state._replace(late=late, may_time_out=False)

    def append(self, state: State, event: int) -> State:
        """Appends a record: the truth folds it, and each replica has it to read."""
        applies, truth = self.fold(state.truth, event)
        before, record = self.job(state.truth), self.things[event]
        assert isinstance(record, Event)
        if applies:
            assert before is None or not before.final
            self.check_checkpoint(before, record)
            self.moves.add((state.truth, truth))
            self.jobs.add(truth)
        else:
            assert truth == state.truth
        dispatches = state.dispatches
        if record.data.dispatch is not UNSET:
            dispatches |= {(record.data.state.attempt, record.id)}
        one, two = (r._replace(unread=(*r.unread, (event, applies))) for r in state.replicas)
        return state._replace(truth=truth, replicas=(one, two), dispatches=dispatches)

    def check_checkpoint(self, before: Job | None, event: Event) -> None:
        """Asserts that an attempt saves its own checkpoint only, and that a dispatch carries it."""
        state = event.data.state
        if isinstance(event, Checkpointed):
            assert before is not None
            assert before.state.held
            assert bytes(event.data.checkpoint) == b"%d" % before.state.attempt
        elif event.data.dispatch is not UNSET:
            carried = event.data.dispatch.checkpoint
            saved = before.checkpoint if before else None
            assert (None if carried is UNSET else bytes(carried)) == saved
            assert saved is None or int(saved) < state.attempt

    def read(self, state: State, at: int) -> State:
        """The replica reads one record; if it waited for it, the command is answered."""
        replica = state.replicas[at]
        (event, expected), *rest = replica.unread
        applies, job = self.fold(replica.job, event)
        assert applies == expected
        grants, waits, command = state.grants, replica.waits, replica.command
        if event == waits:
            assert command is not None
            grants = self.add_grant(grants, command) if applies else grants
            waits = command = None
        after = Replica(job, tuple(rest), waits, command)
        return self.put(state, at, after)._replace(grants=grants)

    def put(self, state: State, at: int, replica: Replica) -> State:
        """The state with this replica at this place."""
        one, two = state.replicas
        return state._replace(replicas=(one, replica) if at else (replica, two))

    def add_grant(self, grants: Grants, command: int) -> Grants:
        """The grants after a command succeeded; asserts one executor for each attempt."""
        asked = self.things[command]
        if not isinstance(asked, Claim):
            return grants
        grants |= {(asked.attempt, asked.executor_id)}
        assert len({attempt for attempt, _ in grants}) == len(grants)
        return grants

    def check(self, state: State) -> None:
        """Asserts what must hold in every state."""
        for replica in state.replicas:
            assert replica.unread or replica.job == state.truth
        if job := self.job(state.truth):
            assert job.state.attempt <= 2
            assert job.final or job.state.failures <= 1
