"""The runs of this process: one for each attempt, and at most as many as there are slots.

A run occupies a slot from its claim until its final report is answered and its handler has ended.
A slot that is freed goes to the next attempt of the ready queue at once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from fabric_jobs.executor import metrics
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt, attempt_from_offer
from fabric_jobs.executor.dispatch.ready_queue import HandlerKey, ReadyQueue, WaitingAttempt
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.runs.handler_task import CLEAN_UP_TIMEOUT_S
from fabric_jobs.executor.runs.run import Run
from fabric_jobs.executor.session.status_client import StatusClient
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that the facade may take to answer the reports of runs whose handlers were abandoned.
REPORT_TIMEOUT_S = 5.0

#: The handlers. Each key is a pair of item type and job type.
Handlers = Mapping[HandlerKey, Handler]


class Runs:
    """Starts runs in a task group. It is the `SessionDelegate` of the session."""

    def __init__(
        self,
        handlers: Handlers,
        client: StatusClient,
        slots: int,
        ready: ReadyQueue,
        group: asyncio.TaskGroup,
        processes: ProcessPool | None = None,
        resources: object = None,
    ) -> None:
        """`ready` holds the attempts that wait for a slot. The intake removes attempts from it.

        `processes` are needed if a handler runs in a process.
        `resources` is the value of the lifespan.
        """
        self._handlers = handlers
        self._ready = ready
        self._client = client
        self._slots = slots
        self._group = group
        self._processes = processes
        self._resources = resources
        #: By the event id of the dispatching record. Two records may dispatch the same attempt, if
        #: one of them lost a race. Each is claimed, because only the facades know the winner.
        self._runs: dict[str, Run] = {}
        self._held_by_type: Counter[HandlerKey] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slot_freed = asyncio.Event()
        self._draining = False
        metrics.SLOTS.set(slots)
        metrics.FREE_SLOTS.set(slots)

    @property
    def free_slots(self) -> int:
        """The number of runs that can start now. It is 0 while the process drains."""
        return 0 if self._draining else self._slots - len(self._runs)

    @property
    def hung_slots(self) -> int:
        """The number of slots that are held by handlers that do not end, although cancelled."""
        return sum(run.is_hung for run in tuple(self._runs.values()))

    def unhealthy_reasons(self) -> list[str]:
        """Returns why this process can run no more jobs. Can be called from any thread."""
        if self.hung_slots < self._slots:
            return []
        return [f"All slots, {self._slots}, are held by handlers that do not end."]

    async def wait_for_freed_slot(self) -> None:
        """Waits until the next run ends."""
        await self._slot_freed.wait()

    def wants(self, dispatched: DispatchedAttempt) -> bool:
        """Returns true if the attempt has a handler, and its record neither waits nor has a run."""
        event_id = dispatched.event_id
        return (
            dispatched.handler_key in self._handlers
            and event_id not in self._runs
            and event_id not in self._ready
        )

    def has_slot(self, handler_key: HandlerKey) -> bool:
        """Returns true if a slot of the process and a slot of the handler are free."""
        return self.free_slots > 0 and not self._is_full(handler_key)

    def _is_full(self, handler_key: HandlerKey) -> bool:
        limit = self._handlers[handler_key].slots
        return limit is not None and self._held_by_type[handler_key] >= limit

    def put(
        self,
        dispatched: DispatchedAttempt,
        dispatched_at: datetime,
        on_decided: Callable[[], None],
    ) -> None:
        """Puts an attempt into the ready queue. `wants` must be true for the attempt.

        The attempt is not started before the next call of `start_ready`. `on_decided` is called
        once its claim is granted or refused.
        """
        handler = self._handlers[dispatched.handler_key]
        self._ready.put(
            WaitingAttempt(
                dispatched=dispatched,
                dispatched_at=dispatched_at,
                priority=handler.priority_of(dispatched.invoke_type),
                on_decided=on_decided,
            )
        )

    def start_ready(self) -> None:
        """Starts as many attempts of the ready queue as have a free slot."""
        now = datetime.now(UTC)
        while self.free_slots > 0 and (waiting := self._ready.take(now, self.has_slot)):
            self._start(waiting.dispatched, waiting.on_decided)
        metrics.WAITING.set(len(self._ready))

    def _start(self, dispatched: DispatchedAttempt, on_decided: Callable[[], None]) -> None:
        handler = self._handlers[dispatched.handler_key]
        run = Run(dispatched, handler, self._client, on_decided, self._processes, self._resources)
        self._runs[dispatched.event_id] = run
        self._held_by_type[dispatched.handler_key] += 1
        self._ready.add_run(dispatched.tenant_id)
        metrics.FREE_SLOTS.set(self.free_slots)
        task = self._group.create_task(self._run_in_slot(run, dispatched), name=str(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout_s: float) -> None:
        """Starts no more runs, lets the handlers end, and hands back the jobs that are left.

        Handlers have `timeout_s` seconds to end. Then they are cancelled, and have
        `CLEAN_UP_TIMEOUT_S` seconds to clean up. A handler that has not ended by then is abandoned,
        and its job is handed back. A job that is granted during the drain is handed back at once.
        """
        self._draining = True
        metrics.FREE_SLOTS.set(self.free_slots)
        for run in self._runs.values():
            if run.grant is None:
                run.hand_back()
        await self._wait(timeout_s)
        if self._tasks:
            log.warning(
                "drain: %d runs did not end in %.0f s. They are handed back",
                len(self._tasks),
                timeout_s,
            )
            for run in self._runs.values():
                run.hand_back()
            await self._wait(CLEAN_UP_TIMEOUT_S)
        if abandoned := sum(run.abandon_handler() for run in self._runs.values()):
            log.warning("drain: %d handlers ignored the cancel. They are abandoned", abandoned)
            await self._wait(REPORT_TIMEOUT_S)
        if self._tasks:
            log.warning(
                "drain: no facade answered about %d runs. Their leases will expire",
                len(self._tasks),
            )
            for task in self._tasks:
                task.cancel()
            await self._wait(None)

    async def _wait(self, timeout_s: float | None) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def heartbeat(self) -> pb.Heartbeat:
        """Returns the runs that are held, the claims that are awaited, and the free slots."""
        beat = pb.Heartbeat(free_slots=self.free_slots, hung_slots=self.hung_slots)
        for item_type, job_type in filter(self._is_full, self._handlers):
            beat.full_job_types.add(item_type=item_type, job_type=job_type)
        for run in self._runs.values():
            if run.grant is None:
                beat.claims.add(job_id=run.job_id, attempt=run.attempt)
            elif not run.revoked:
                beat.runs.add(job_id=run.job_id, attempt=run.attempt)
        return beat

    def cancel(self, job_id: str, attempt: int) -> None:
        """Requests the handler of an attempt to stop. Does nothing if there is no such run."""
        for run in self._find(job_id, attempt):
            run.cancel()

    def stop(self, job_id: str, attempt: int) -> None:
        """Ends the run of an attempt without a report. Does nothing if there is no such run."""
        for run in self._find(job_id, attempt):
            log.warning("%s: stopped, because a facade says that it no longer holds the job", run)
            run.revoke()

    def offer(self, offer: pb.Offer) -> None:
        """Claims the offered attempt if a slot is free. Otherwise the offer will be repeated."""
        dispatched = attempt_from_offer(offer)
        key = dispatched.handler_key
        if key not in self._handlers or not self.has_slot(key):
            return
        if waiting := self._ready.remove(dispatched.event_id):
            self._start(waiting.dispatched, waiting.on_decided)
        elif self.wants(dispatched):
            self._start(dispatched, on_decided=lambda: None)

    def _find(self, job_id: str, attempt: int) -> list[Run]:
        """Returns the runs of an attempt, including those whose claims are undecided."""
        runs = self._runs.values()
        return [run for run in runs if (run.job_id, run.attempt) == (job_id, attempt)]

    async def _run_in_slot(self, run: Run, dispatched: DispatchedAttempt) -> None:
        try:
            await run.run()
        except Exception:
            # A defect of the executor ends this run, whose lease then expires. Without this
            # handler it would end the task group, and so all other runs.
            log.exception("%s: ended by a defect of the executor", run)
        finally:
            del self._runs[dispatched.event_id]
            self._held_by_type[dispatched.handler_key] -= 1
            self._ready.remove_run(dispatched.tenant_id)
            metrics.FREE_SLOTS.set(self.free_slots)
            freed, self._slot_freed = self._slot_freed, asyncio.Event()
            freed.set()
        # Not in `finally`: a cancelled task group accepts no more tasks.
        self.start_ready()
