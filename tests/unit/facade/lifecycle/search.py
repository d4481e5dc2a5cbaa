"""Every interleaving of two executors, two replicas and two attempts of one job, breadth first.

A replica decides on whatever it has read so far, appends, and waits until it reads its own record.
Jobs, events and commands stand in the states by number, so that equal states are found equal, and
`decide` and `fold` are asked once for each pair. Two searches add an append that times out:
its record comes at any later time, or never; another puts deadlines in the place of failures.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from msgspec import UNSET

from fabric_jobs.contract.events import Event, KnownEvent, decode, encode
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
    completed,
    deadlines,
    failed,
    lose_lease,
    request,
    retry,
    stamp,
)

TWO_ATTEMPTS = Policy(max_attempts=2, initial_backoff_s=0, jitter=0)
EXECUTORS = (A, B)

Grants = frozenset[tuple[int, str]]
#: A record of the log: the event, and whether it is the job's next one there.
Record = tuple[int, bool]


class Replica(NamedTuple):
    """What it has folded, what it hasn't read yet, and the event that it waits for."""

    job: int
    unread: tuple[Record, ...]
    waits: int | None
    command: int | None


class State(NamedTuple):
    """The whole service at one moment; the log's past is in the truth, the fold of all of it."""

    truth: int
    replicas: tuple[Replica, Replica]
    #: Attempt and id of every record on the log that dispatches.
    dispatches: frozenset[tuple[int, str]]
    grants: Grants
    #: The record whose append timed out, until it arrives; none is to be had after that.
    late: int | None
    may_time_out: bool


class Search:
    """The states reached, and how the job moved in the truth of the log."""

    def __init__(
        self, *, deciding: int = 2, late: bool = False, left_out: tuple[type, ...] = ()
    ) -> None:
        #: How many replicas decide; whether one of the last one's appends may time out; commands
        #: that nobody gives.
        self.deciding, self.late, self.left_out = deciding, late, left_out
        self.things: list[object] = [None]
        self.numbers: dict[object, int] = {None: 0}
        self.moves: set[tuple[int, int]] = set()
        self.transitions = 0
        self.jobs: set[int] = {0}
        self.decide = cache(self._decide)
        self.fold = cache(self._fold)
        self.asked = cache(self._asked)
        self.states = self.explore()

    def number(self, thing: Job | Event | Command | None) -> int:
        """The number of a job, an event or a command; equal ones have the same."""
        key = encode(thing) if isinstance(thing, Event) else thing
        if key not in self.numbers:
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]

    def job(self, number: int) -> Job | None:
        """The job of that number."""
        job = self.things[number]
        assert job is None or isinstance(job, Job)
        return job

    def phase(self, number: int) -> str:
        """The phase of the job of that number."""
        job = self.job(number)
        return job.state.phase if job else "Unknown"

    def sequence(self, number: int) -> int:
        """The sequence of the job of that number."""
        job = self.job(number)
        return job.sequence if job else 0

    def _decide(self, job: int, command: int, who: str) -> object:
        before, asked = self.job(job), self.things[command]
        assert isinstance(asked, Command)
        sequence = before.sequence + 1 if before else 1
        # A replica appends once at each sequence before it has read its own record back.
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
        """Breadth first over everything that can happen."""
        idle = Replica(0, (), None, None)
        first = State(0, (idle, idle), frozenset(), frozenset(), None, self.late)
        # The job was asked for twice at once: one record starts it, the loser must start nothing.
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
        """The states one step on."""
        for at in (0, 1):
            if state.replicas[at].unread:
                yield self.read(state, at)
        if state.late is not None:
            yield self.append(state._replace(late=None), state.late)
        # Executors are alike, and so are replicas unless one alone may time out: the first to act
        # is the first of them.
        begun = state.may_time_out != self.late or self.sequence(state.truth) > 1
        for at, replica in enumerate(state.replicas[: self.deciding if begun or self.late else 1]):
            if replica.waits is None:
                executors = EXECUTORS if begun else EXECUTORS[:1]
                asked = self.asked(replica.job, f"r{at}", state.dispatches, state.grants, executors)
                for command, event in asked:
                    yield from self.answered(state, at, command, event)

    def _asked(
        self,
        number: int,
        who: str,
        dispatches: frozenset[tuple[int, str]],
        grants: Grants,
        executors: tuple[str, ...],
    ) -> list[tuple[int, int | None]]:
        """What may be asked of a replica with that job, with the event that it leads to if any.

        Executors know the log; one reports what isn't its own too. What is refused is left out.
        """
        asked: list[Command] = [cancel()]
        for (attempt, dispatch_id), executor in product(dispatches, executors):
            asked.append(claim(attempt, executor, dispatch_id, policy=TWO_ATTEMPTS))
        granted = {attempt for attempt, _ in grants}
        for attempt, executor in product(granted, EXECUTORS):
            asked += [completed(attempt, executor), failed(attempt, executor)]
        if job := self.job(number):
            if job.state.phase is JobPhase.WAITING:
                asked.append(retry(job.state.attempt))
            elif job.state.executor_id:
                asked.append(lose_lease(job.state.attempt, job.state.executor_id))
                asked += deadlines(job.state.attempt)
            asked += [Expire(job_id=JOB), FailUnstarted(job_id=JOB)]
        answered: list[tuple[int, int | None]] = []
        for command in asked:
            if not isinstance(command, self.left_out):
                decision = self.decide(number, self.number(command), who)
                if isinstance(command, ReportCompleted | ReportFailed):
                    own = (command.attempt, command.executor_id) in grants
                    assert own or isinstance(decision, Refusal)
                if isinstance(decision, int):
                    answered.append((self.number(command), decision))
                elif isinstance(decision, Settled):
                    answered.append((self.number(command), None))
                else:
                    assert isinstance(decision, Refusal)
        return answered

    def answered(self, state: State, at: int, command: int, event: int | None) -> Iterator[State]:
        """Success at once; or the record is appended and awaited, or comes late."""
        if event is None:
            yield state._replace(grants=self.granted(state.grants, command))
            return
        replica = state.replicas[at]
        waiting = replica._replace(waits=event, command=command)
        after = self.append(self.put(state, at, waiting), event)
        # Until it reads its own record it can but read on, and nobody can see how far it is.
        while after.replicas[at].unread[0][0] != event:
            after = self.read(after, at)
        yield after
        if state.may_time_out and at == self.deciding - 1:
            late = self.decide(replica.job, command, f"r{at}-late")
            assert isinstance(late, int)
            yield state._replace(late=late, may_time_out=False)

    def append(self, state: State, event: int) -> State:
        """One record more on the log: the truth takes it, the replicas have it to read."""
        applies, truth = self.fold(state.truth, event)
        before, record = self.job(state.truth), self.things[event]
        assert isinstance(record, Event)
        if applies:
            assert before is None or not before.final
            self.moves.add((state.truth, truth))
            self.jobs.add(truth)
        else:
            assert truth == state.truth
        dispatches = state.dispatches
        if record.data.dispatch is not UNSET:
            dispatches |= {(record.data.state.attempt, record.id)}
        one, two = (r._replace(unread=(*r.unread, (event, applies))) for r in state.replicas)
        return state._replace(truth=truth, replicas=(one, two), dispatches=dispatches)

    def read(self, state: State, at: int) -> State:
        """The replica reads one record, and is answered if it is the one that it waited for."""
        replica = state.replicas[at]
        (event, expected), *rest = replica.unread
        applies, job = self.fold(replica.job, event)
        assert applies == expected
        grants, waits, command = state.grants, replica.waits, replica.command
        if event == waits:
            assert command is not None
            grants = self.granted(grants, command) if applies else grants
            waits = command = None
        after = Replica(job, tuple(rest), waits, command)
        return self.put(state, at, after)._replace(grants=grants)

    def put(self, state: State, at: int, replica: Replica) -> State:
        """The state with that replica in its place."""
        one, two = state.replicas
        return state._replace(replicas=(one, replica) if at else (replica, two))

    def granted(self, grants: Grants, command: int) -> Grants:
        """The grants after success was answered: never a second executor for an attempt."""
        asked = self.things[command]
        if not isinstance(asked, Claim):
            return grants
        grants |= {(asked.attempt, asked.executor_id)}
        assert len({attempt for attempt, _ in grants}) == len(grants)
        return grants

    def check(self, state: State) -> None:
        """What must hold in every state."""
        for replica in state.replicas:
            assert replica.unread or replica.job == state.truth
        if job := self.job(state.truth):
            assert job.state.attempt <= 2
            assert job.final or job.state.failures <= 1
