"""The runs of this process: one for each attempt, at most as many as there are slots.

A run takes a slot from its claim until its final report is answered and its handler has ended.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from fabric_jobs.executor import metrics
from fabric_jobs.executor.dispatches import Dispatched, of_offer
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.run import CLEAN_UP_S, Run
from fabric_jobs.executor.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that the answers may take to the reports of runs whose handlers are left to themselves.
HAND_BACK_S = 5.0

#: The handler of each item type and job type.
Handlers = Mapping[tuple[str, str], Handler]


class Runs:
    """Starts runs in a task group; the session's holder."""

    def __init__(
        self, handlers: Handlers, session: Session, slots: int, group: asyncio.TaskGroup
    ) -> None:
        self._handlers = handlers
        self._session = session
        self._slots = slots
        self._group = group
        #: By the record that dispatches them: one that lost a race names the same attempt as the
        #: one that won, and either is claimed, so that neither is passed for the other.
        self._runs: dict[str, Run] = {}
        self._held: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._draining = False
        metrics.SLOTS.set(slots)
        metrics.FREE_SLOTS.set(slots)

    @property
    def free_slots(self) -> int:
        """How many more runs it would take now."""
        return 0 if self._draining else self._slots - len(self._runs)

    async def freed(self) -> None:
        """Waits until a run ends."""
        await self._freed.wait()

    def wants(self, dispatched: Dispatched) -> bool:
        """Whether there is a handler for it, and no run of it yet."""
        return dispatched.kind in self._handlers and dispatched.event_id not in self._runs

    def has_slot(self, dispatched: Dispatched) -> bool:
        """Whether a slot is free for what is wanted: one of the process, and one of its type."""
        return self.free_slots > 0 and not self._is_full(dispatched.kind)

    def _is_full(self, kind: tuple[str, str]) -> bool:
        limit = self._handlers[kind].slots
        return limit is not None and self._held[kind] >= limit

    def start(self, dispatched: Dispatched, decided: Callable[[], None]) -> None:
        """Starts a run that is wanted, in a slot that is free; tells when its claim is decided."""
        run = Run(dispatched, self._handlers[dispatched.kind], self._session, decided)
        self._runs[dispatched.event_id] = run
        self._held[dispatched.kind] += 1
        metrics.FREE_SLOTS.set(self.free_slots)
        task = self._group.create_task(self._keep(run, dispatched), name=str(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout: float) -> None:
        """Takes no more runs, lets those that are held end, and hands back what is left.

        A run that is granted only now is handed back as it is. So is one whose handler does not
        end even when it is cancelled: the handler is left to itself.
        """
        self._draining = True
        metrics.FREE_SLOTS.set(self.free_slots)
        for run in self._runs.values():
            if run.grant is None:
                run.hand_back()
        await self._wait(timeout)
        if self._tasks:
            log.warning("%d runs did not end in %.0f s: handed back", len(self._tasks), timeout)
            for run in self._runs.values():
                run.hand_back()
            await self._wait(CLEAN_UP_S)
        if left := sum(run.leave() for run in self._runs.values()):
            log.warning("%d handlers did not end even so: left to themselves", left)
            await self._wait(HAND_BACK_S)
        if self._tasks:
            log.warning("%d runs without an answer: their leases will end", len(self._tasks))
            for task in self._tasks:
                task.cancel()
            await self._wait(None)

    async def _wait(self, timeout: float | None) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    def heartbeat(self) -> pb.Heartbeat:
        """What is held, for the session."""
        beat = pb.Heartbeat(free_slots=self.free_slots)
        for item_type, job_type in filter(self._is_full, self._handlers):
            beat.full_job_types.add(item_type=item_type, job_type=job_type)
        for run in self._runs.values():
            if run.grant is None:
                beat.claims.add(job_id=run.job_id, attempt=run.attempt)
            elif not run.revoked:
                beat.runs.add(job_id=run.job_id, attempt=run.attempt)
        return beat

    def cancel(self, job_id: str, attempt: int) -> None:
        """The job was asked to stop."""
        for run in self._of(job_id, attempt):
            run.cancel()

    def stop(self, job_id: str, attempt: int) -> None:
        """The run is no longer ours."""
        for run in self._of(job_id, attempt):
            log.warning("%s: stopped, it is no longer ours", run)
            run.revoke()

    def offer(self, offer: pb.Offer) -> None:
        """Takes the attempt where a slot is free; an offer that is not taken is made again."""
        dispatched = of_offer(offer)
        if self.wants(dispatched) and self.has_slot(dispatched):
            self.start(dispatched, decided=lambda: None)

    def _of(self, job_id: str, attempt: int) -> list[Run]:
        """The run of the attempt, and claims of it that are awaited."""
        runs = self._runs.values()
        return [run for run in runs if (run.job_id, run.attempt) == (job_id, attempt)]

    async def _keep(self, run: Run, dispatched: Dispatched) -> None:
        try:
            await run.run()
        except Exception:
            # A defect of ours must cost this run, whose lease then ends, and not all the others.
            log.exception("%s ended by a defect of the executor", run)
        finally:
            del self._runs[dispatched.event_id]
            self._held[dispatched.kind] -= 1
            metrics.FREE_SLOTS.set(self.free_slots)
            freed, self._freed = self._freed, asyncio.Event()
            freed.set()
