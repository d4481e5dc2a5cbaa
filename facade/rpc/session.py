"""One executor's stream: its claims, reports and heartbeats up, what they lead to down."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import grpc

from fabric_jobs import events
from fabric_jobs.heartbeats import Heartbeat, Run
from fabric_jobs.jobs import JobPhase
from fabric_jobs.status.v1 import job_status_pb2 as pb
from facade.jobs import Jobs
from facade.leases import Leases
from facade.lifecycle import is_foreign
from facade.replica import Change, Replica
from facade.rpc.entries import answer_claim, answer_report
from facade.rpc.errors import Context, abort

#: What is done for one stream at a time; more waits in the stream.
MAX_WORKING = 1000
MAX_ID_CHARS = 128


class Sessions:
    """The streams that executors hold with this replica."""

    def __init__(self, jobs: Jobs, replica: Replica, leases: Leases) -> None:
        self._jobs = jobs
        self._replica = replica
        self._leases = leases
        self._open: defaultdict[str, set[_Session]] = defaultdict(set)
        self._stopping = False
        replica.listeners.add(self._changed)

    def stop(self) -> None:
        """Ends every stream once what was asked on it is answered."""
        self._stopping = True
        for sessions in self._open.values():
            for session in sessions:
                session.end()

    async def serve(
        self, requests: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        """What is to be sent on a stream that has just been opened."""
        if self._stopping:
            await abort(
                context, grpc.StatusCode.UNAVAILABLE, "STOPPING", "Connect to another replica."
            )
        first = await anext(aiter(requests), None)
        executor_id = first.hello.executor_id if first else ""
        if first is None or not 0 < len(executor_id) <= MAX_ID_CHARS:
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "NO_HELLO",
                "The first message must carry hello with an executor_id of at most "
                f"{MAX_ID_CHARS} characters.",
            )
        session = _Session(executor_id, self._jobs, self._replica, self._leases)
        self._open[executor_id].add(session)
        reading = asyncio.create_task(session.read(first, requests), name="read a session")
        try:
            async for response in session.responses():
                yield response
        finally:
            self._open[executor_id].discard(session)
            if not self._open[executor_id]:
                del self._open[executor_id]
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    def _changed(self, change: Change) -> None:
        """A cancel is pushed by the replica that holds the executor's stream, whoever took it."""
        if isinstance(change.event, events.CancelRequested):
            job = change.entry.job
            for session in self._open.get(job.state.executor_id or "", ()):
                session.cancel(pb.Run(job_id=job.job_id, attempt=job.state.attempt))


class _Session:
    """One stream."""

    def __init__(self, executor_id: str, jobs: Jobs, replica: Replica, leases: Leases) -> None:
        self._executor_id = executor_id
        self._jobs = jobs
        self._replica = replica
        self._leases = leases
        self._next = pb.SessionResponse()
        self._wake = asyncio.Event()
        self._ending = False
        self._working: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MAX_WORKING)

    def cancel(self, run: pb.Run) -> None:
        """Tells the executor that the run's job was asked to stop."""
        self._next.cancels.append(run)
        self._wake.set()

    def end(self) -> None:
        """Ends the stream once what was asked on it is answered."""
        self._ending = True
        self._wake.set()

    async def read(
        self, first: pb.SessionRequest, requests: AsyncIterator[pb.SessionRequest]
    ) -> None:
        """Starts to decide what the executor asks, in its order, until it asks no more."""
        try:
            await self._take(first)
            async for request in requests:
                await self._take(request)
        finally:
            self.end()

    async def responses(self) -> AsyncIterator[pb.SessionResponse]:
        """All that waits goes down in one message."""
        try:
            while True:
                if self._next.ByteSize():
                    response, self._next = self._next, pb.SessionResponse()
                    yield response
                elif self._ending and not self._working:
                    return
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            for task in self._working:
                task.cancel()

    async def _take(self, request: pb.SessionRequest) -> None:
        for claim in request.claims:
            await self._start(self._answer(answer_claim(self._jobs, self._executor_id, claim)))
        for report in request.reports:
            await self._start(self._answer(answer_report(self._jobs, self._executor_id, report)))
        if request.HasField("heartbeat"):
            held = (*request.heartbeat.runs, *request.heartbeat.claims)
            runs = tuple(Run(run.job_id, run.attempt) for run in held)
            beat = Heartbeat(executor_id=self._executor_id, runs=runs)
            await self._start(self._leases.beat(beat))
            for run in request.heartbeat.runs:
                self._check(run)

    async def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on with the stream while the work is done, unless too much is under way."""
        await self._places.acquire()
        task = asyncio.create_task(work, name="work of a session")
        self._working.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, answering: Coroutine[Any, Any, pb.Answer]) -> None:
        answer = await answering
        # Not before: the message that is next now may have gone down by the time of the answer.
        self._next.answers.append(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._places.release()
        self._wake.set()

    def _check(self, run: pb.Run) -> None:
        """Repeats a cancel, and stops a run that the fold gives to nobody or to another."""
        entry = self._replica.get(run.job_id)
        if entry is None:
            return  # not read yet
        if is_foreign(entry.job, run.attempt, self._executor_id):
            self._next.stops.append(run)
        elif entry.job.state.phase is JobPhase.STOPPING:
            self._next.cancels.append(run)
        self._wake.set()
