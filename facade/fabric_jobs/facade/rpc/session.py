"""One executor's stream: reads claims, reports and heartbeats; sends answers and requests."""

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
from fabric_jobs.facade.rpc.progress import ProgressThrottle
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bound of one stream's entries whose answers are not decided or not sent yet. The stream holds
#: further entries back.
MAX_PENDING_ENTRIES = 1000
#: Bound of the runs in one record of the heartbeats topic.
MAX_HEARTBEAT_RUNS = 2000


class Session:
    """The session of one executor on one stream."""

    def __init__(self, hello: pb.Hello, jobs: Jobs, replica: Replica, roster: Roster) -> None:
        self.executor_id = hello.executor_id
        #: The kinds of jobs that the executor has handlers for.
        self.kinds = _kinds_of(hello.job_types)
        #: Those of `kinds` of which the executor takes more jobs now, by its last heartbeat.
        self.accepted_kinds = self.kinds
        #: How many more jobs the executor could run now.
        self.free_slots = 0
        self._hello = hello
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._progress = ProgressThrottle(self._decide_report)
        self._next_response = pb.SessionResponse()
        #: The runs that `_next_response` cancels or stops.
        self._next_runs: set[tuple[str, int]] = set()
        #: Whether a heartbeat came that no response has followed yet.
        self._heartbeat_unanswered = False
        self._wake = asyncio.Event()
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = asyncio.Semaphore(MAX_PENDING_ENTRIES)

    def cancel(self, run: pb.Run) -> None:
        """Asks the executor to cancel a run."""
        self._send_run(run, self._next_response.cancels)

    def offer(self, offer: pb.Offer) -> None:
        """Offers the executor a waiting attempt."""
        self.free_slots -= 1
        self._next_response.offers.append(offer)
        self._wake.set()

    def end(self) -> None:
        """Ends the stream after every entry that was read has its answer."""
        self._ending = True
        self._wake.set()

    async def read(
        self, first: pb.SessionRequest, requests: AsyncIterator[pb.SessionRequest]
    ) -> None:
        """Handles the executor's requests, in their order, until the executor ends the stream."""
        try:
            await self._handle(first)
            async for request in requests:
                await self._handle(request)
        finally:
            self.end()

    async def responses(self) -> AsyncIterator[pb.SessionResponse]:
        """Yields the responses; each carries everything that is ready at its time."""
        try:
            while True:
                if self._next_response.ByteSize() or self._heartbeat_unanswered:
                    self._heartbeat_unanswered = False
                    response, self._next_response = self._next_response, pb.SessionResponse()
                    self._next_runs.clear()
                    yield response
                    # Released only after the response was taken, so that an executor that does not
                    # read its answers is not read either.
                    for _ in response.answers:
                        self._pending.release()
                elif self._ending and not self._tasks:
                    return
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            self._progress.close()
            for task in self._tasks:
                task.cancel()

    async def _handle(self, request: pb.SessionRequest) -> None:
        for claim in request.claims:
            await self._pending.acquire()
            self._start(self._answer(answer_claim(self._jobs, self.executor_id, claim)))
        for report in request.reports:
            await self._pending.acquire()
            self._start(self._answer(self._answer_report(report)))
        if request.HasField("heartbeat"):
            full = _kinds_of(request.heartbeat.full_job_types)
            self.accepted_kinds = tuple(kind for kind in self.kinds if kind not in full)
            self.free_slots = request.heartbeat.free_slots
            self._start(self._share_heartbeat(request.heartbeat))
            for run in request.heartbeat.runs:
                self._check_run(run)
            # Any response will do, also an empty one: it shows that this facade is there.
            self._heartbeat_unanswered = True
            self._wake.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts work in a task, so that the stream's next request need not wait for it."""
        task = asyncio.create_task(work, name="work of a session")
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def _answer(self, deciding: Coroutine[Any, Any, pb.Answer]) -> None:
        answer = await deciding
        # Looked up only now, because another response may be next after the wait.
        self._next_response.answers.append(answer)

    async def _answer_report(self, report: pb.Report) -> pb.Answer:
        if report.WhichOneof("outcome") == "progress":
            return await self._progress.answer(report)
        await self._progress.end(report)
        return await self._decide_report(report)

    async def _decide_report(self, report: pb.Report) -> pb.Answer:
        return await answer_report(self._jobs, self.executor_id, report)

    async def _share_heartbeat(self, heartbeat: pb.Heartbeat) -> None:
        """Writes the heartbeat to the heartbeats topic, for all replicas."""
        for part in self._split_heartbeat(heartbeat):
            await self._roster.publish(part)

    def _split_heartbeat(self, heartbeat: pb.Heartbeat) -> Iterator[ExecutorHeartbeat]:
        """Yields the heartbeat in parts that each fit a record. Claims count as runs."""
        runs = [Run(run.job_id, run.attempt) for run in (*heartbeat.runs, *heartbeat.claims)]
        for start in range(0, max(len(runs), 1), MAX_HEARTBEAT_RUNS):
            yield ExecutorHeartbeat(
                executor_id=self.executor_id,
                pool=self._hello.pool,
                job_kinds=self.kinds,
                slots=self._hello.slots,
                free_slots=heartbeat.free_slots,
                runs=tuple(runs[start : start + MAX_HEARTBEAT_RUNS]),
            )

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    def _check_run(self, run: pb.Run) -> None:
        """Repeats a pending cancel, and stops a run that is not this executor's by the fold."""
        stored = self._replica.get(run.job_id)
        if stored is None:
            return  # this replica has not read the job yet
        if is_foreign(stored.job, run.attempt, self.executor_id):
            self._send_run(run, self._next_response.stops)
        elif stored.job.state.phase is JobPhase.STOPPING:
            self._send_run(run, self._next_response.cancels)

    def _send_run(self, run: pb.Run, runs: Any) -> None:
        """Adds the run to a list of the next response, unless the response names it already."""
        key = run.job_id, run.attempt
        if key not in self._next_runs:
            self._next_runs.add(key)
            runs.append(run)
            self._wake.set()


def _kinds_of(job_types: Iterable[pb.JobType]) -> tuple[JobKind, ...]:
    return tuple(JobKind(one.item_type, one.job_type) for one in job_types)
