"""An estimate of the slots that an executor has free, between one heartbeat and the next.

A heartbeat says what the executor holds. The estimate follows what happens after it: a claim, an
offer and a grant take a slot; a refused claim and an accepted final report free one.
"""

import time
from collections.abc import Callable, Iterable, Mapping

from fabric_jobs.contract.heartbeats import MAX_SLOTS, JobKind
from fabric_jobs.facade.rpc.held_runs import HeldRuns, RunKey, SlotJob
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds after which an offer without a claim is over: the executor had no slot for it.
OFFER_TIMEOUT_S = 1.0
#: Bound of the ended runs that are remembered. The run that ended first is forgotten first.
MAX_ENDED = MAX_SLOTS


class FreeSlots:
    """The free slots of one executor, in all and for each kind of job."""

    def __init__(self, hello: pb.Hello, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns the time in seconds, from any starting point."""
        self._slots = hello.slots
        self._clock = clock
        #: The bound of the runs of each kind; a kind without one has no entry.
        self._limits = {JobKind.of(one): one.slots for one in hello.job_types if one.slots}
        #: How many runs the executor can hold; nothing is known before its first heartbeat.
        self._capacity = 0
        #: The runs that take a slot.
        self._held = HeldRuns()
        #: When each offer was made that has no claim yet.
        self._offered: dict[RunKey, float] = {}
        #: The attempts that are claimed and not decided yet.
        self._claimed: set[RunKey] = set()
        #: The runs whose slots were freed, the oldest first; a heartbeat under way may still list
        #: them.
        self._ended: dict[RunKey, None] = {}
        #: The kinds that have no room, by the heartbeat or because an offer had no claim.
        self._full: set[JobKind] = set()
        #: The lowest number of free slots since the last call of `idle`.
        self._lowest = 0

    @property
    def count(self) -> int:
        """How many more jobs the executor could run now."""
        return max(0, self._capacity - len(self._held))

    @property
    def undecided(self) -> int:
        """How many attempts are claimed or offered, and not granted or refused yet."""
        return len(self._claimed) + len(self._offered)

    @property
    def open_offers(self) -> int:
        """How many offers have neither a claim nor reached `OFFER_TIMEOUT_S`."""
        return len(self._offered)

    def has_room(self, kind: JobKind) -> bool:
        """Whether a slot is free for a job of this kind."""
        if not self.count or kind in self._full:
            return False
        limit = self._limits.get(kind)
        return limit is None or self._held.by_kind.get(kind, 0) < limit

    @property
    def tenant_runs(self) -> Mapping[str, int]:
        """The number of slots that jobs of each tenant take now."""
        return self._held.by_tenant

    def holds(self, run: RunKey) -> bool:
        """Whether the executor runs or has claimed the attempt, or was offered it just now."""
        return run in self._held

    def idle(self) -> int:
        """How many slots have been free ever since the last call of this method.

        A slot that the executor fills by itself as soon as it is freed is not idle.
        """
        now = self._clock()
        for run in [run for run, at in self._offered.items() if now - at >= OFFER_TIMEOUT_S]:
            job = self._held.remove(run)
            del self._offered[run]
            if job:
                self._full.add(job.kind)
        idle, self._lowest = min(self._lowest, self.count), self.count
        return idle

    def beat(
        self,
        heartbeat: pb.Heartbeat,
        runs: Mapping[RunKey, SlotJob | None],
        full_kinds: Iterable[JobKind],
    ) -> None:
        """Takes in a heartbeat; `runs` are those that it lists, awaited claims among them."""
        self._capacity = min(heartbeat.free_slots, self._slots) + len(runs)
        if not heartbeat.free_slots and len(runs) < self._slots:
            # It drains, or its other slots hold runs that no longer count: what ends frees nothing.
            self._capacity = 0
        offered = {run: self._held.job_of(run) for run in self._offered}
        self._ended = {run: None for run in self._ended if run in runs}
        held = offered | {run: job for run, job in runs.items() if run not in self._ended}
        self._held = HeldRuns(held)
        # The executor lists the claims that it awaits, so it does not await any other.
        self._claimed &= held.keys()
        # What ended after the heartbeat was written may have freed a slot of a kind that it lists.
        self._full = set(full_kinds) - self._limits.keys()
        self._note()

    def offer(self, run: RunKey, job: SlotJob) -> None:
        """Counts an attempt that is offered to the executor."""
        self._held.set(run, job)
        self._offered[run] = self._clock()
        self._note()

    def claim(self, run: RunKey, job: SlotJob | None) -> None:
        """Counts an attempt that the executor claims."""
        self._offered.pop(run, None)
        self._ended.pop(run, None)
        self._claimed.add(run)
        self._held.set(run, job)
        self._note()

    def grant(self, run: RunKey, job: SlotJob | None) -> None:
        """Counts an attempt that was granted; its job may not have been known at the claim."""
        self._claimed.discard(run)
        if run in self._held:
            self._held.set(run, job)

    def withdraw(self, run: RunKey) -> None:
        """Forgets a claim that could not be decided, because the executor claims again."""
        self._claimed.discard(run)
        self._held.remove(run)

    def free(self, run: RunKey) -> None:
        """Counts a slot as free: the claim was refused, or the final report is decided.

        Nothing is noted of a run that takes no slot.
        """
        self._offered.pop(run, None)
        self._claimed.discard(run)
        if run not in self._held:
            return
        if job := self._held.remove(run):
            self._full.discard(job.kind)
        self._ended[run] = None
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def _note(self) -> None:
        self._lowest = min(self._lowest, self.count)
