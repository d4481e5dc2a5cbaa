"""One executor's stream: its claims, reports and heartbeats up, what they lead to down."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import is_foreign
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.entries import answer_claim, answer_report
from fabric_jobs.facade.rpc.progress import ProgressGate
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Entries of one stream that are not answered, or whose answers were not taken; more waits in it.
MAX_WORKING = 1000
#: Runs in one record of the heartbeats' topic.
MAX_BEAT_RUNS = 2000


class Session:
    """One stream."""

    def __init__(self, hello: pb.Hello, jobs: Jobs, replica: Replica, roster: Roster) -> None:
        self.executor_id = hello.executor_id
        #: What the executor has handlers for, what of that it would run now, and how much.
        self.kinds = _kinds(hello.job_types)
        self.wanted = self.kinds
        self.free_slots = 0
        self._hello = hello
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._progress = ProgressGate(self._report)
        self._next = pb.SessionResponse()
        self._told: set[tuple[str, int]] = set()
        self._wake = asyncio.Event()
        self._ending = False
        self._working: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MAX_WORKING)

    def cancel(self, run: pb.Run) -> None:
        """Tells the executor that the run's job was asked to stop."""
        self._tell(run, self._next.cancels)

    def offer(self, offer: pb.Offer) -> None:
        """Shows the executor an attempt that waits."""
        self.free_slots -= 1
        self._next.offers.append(offer)
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
                    self._told.clear()
                    yield response
                    # Only now: a stream that nobody reads must not be asked for more and more.
                    for _ in response.answers:
                        self._places.release()
                elif self._ending and not self._working:
                    return
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            self._progress.close()
            for task in self._working:
                task.cancel()

    async def _take(self, request: pb.SessionRequest) -> None:
        for claim in request.claims:
            await self._places.acquire()
            self._start(self._answer(answer_claim(self._jobs, self.executor_id, claim)))
        for report in request.reports:
            await self._places.acquire()
            self._start(self._answer(self._answer_report(report)))
        if request.HasField("heartbeat"):
            full = _kinds(request.heartbeat.full_job_types)
            self.wanted = tuple(kind for kind in self.kinds if kind not in full)
            self.free_slots = request.heartbeat.free_slots
            self._start(self._beat(request.heartbeat))
            for run in request.heartbeat.runs:
                self._check(run)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on with the stream while the work is done."""
        task = asyncio.create_task(work, name="work of a session")
        self._working.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, answering: Coroutine[Any, Any, pb.Answer]) -> None:
        answer = await answering
        # Not before: the message that is next now may have gone down by the time of the answer.
        self._next.answers.append(answer)

    async def _answer_report(self, report: pb.Report) -> pb.Answer:
        if report.WhichOneof("outcome") == "progress":
            return await self._progress.answer(report)
        await self._progress.end(report)
        return await self._report(report)

    async def _report(self, report: pb.Report) -> pb.Answer:
        return await answer_report(self._jobs, self.executor_id, report)

    async def _beat(self, heartbeat: pb.Heartbeat) -> None:
        for beat in self._beats(heartbeat):
            await self._roster.publish(beat)

    def _beats(self, heartbeat: pb.Heartbeat) -> Iterator[ExecutorHeartbeat]:
        """The heartbeat for the other replicas, in parts that fit a record."""
        held = [Run(run.job_id, run.attempt) for run in (*heartbeat.runs, *heartbeat.claims)]
        for start in range(0, max(len(held), 1), MAX_BEAT_RUNS):
            yield ExecutorHeartbeat(
                executor_id=self.executor_id,
                pool=self._hello.pool,
                job_kinds=self.kinds,
                slots=self._hello.slots,
                free_slots=heartbeat.free_slots,
                runs=tuple(held[start : start + MAX_BEAT_RUNS]),
            )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._wake.set()

    def _check(self, run: pb.Run) -> None:
        """Repeats a cancel, and stops a run that the fold gives to nobody or to another."""
        entry = self._replica.get(run.job_id)
        if entry is None:
            return  # not read yet
        if is_foreign(entry.job, run.attempt, self.executor_id):
            self._tell(run, self._next.stops)
        elif entry.job.state.phase is JobPhase.STOPPING:
            self._tell(run, self._next.cancels)

    def _tell(self, run: pb.Run, runs: Any) -> None:
        """Says it in the next message, and there once."""
        key = run.job_id, run.attempt
        if key not in self._told:
            self._told.add(key)
            runs.append(run)
            self._wake.set()


def _kinds(job_types: Iterable[pb.JobType]) -> tuple[JobKind, ...]:
    return tuple(JobKind(one.item_type, one.job_type) for one in job_types)
