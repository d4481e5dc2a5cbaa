"""One executor's stream: reads claims, reports and heartbeats; sends answers and requests."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial as bind
from typing import Any

from fabric_jobs.contract.dispatch_order import default_priority
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.contract.jobs import JobPhase, JobState
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Claim, ReportProgress, SaveCheckpoint, is_foreign
from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.bounds import OutOfBoundsError, check_message, parse_runs
from fabric_jobs.facade.rpc.entries import (
    answer_claim,
    answer_report,
    command_of_claim,
    command_of_report,
    refuse_invalid,
)
from fabric_jobs.facade.rpc.heartbeat_publisher import HeartbeatPublisher
from fabric_jobs.facade.rpc.held_runs import RunKey, SlotJob
from fabric_jobs.facade.rpc.next_response import NextResponse
from fabric_jobs.facade.rpc.slots import FreeSlots
from fabric_jobs.facade.rpc.throttle import ReportThrottle
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bound of one stream's entries whose answers are not decided or not sent yet. The stream holds
#: further entries back.
MAX_PENDING_ENTRIES = 1000
#: Bound of the bytes of messages with entries that are not decided yet. Above it, the stream holds
#: further messages back.
MAX_PENDING_BYTES = 8 * 1024 * 1024
#: Runs of a heartbeat that are looked up before the event loop does other work.
RUNS_PER_TURN = 250
#: Bound of the offers of one stream that are not answered by a claim yet.
MAX_OPEN_OFFERS = 100
#: The reasons of refused reports after which the run is still the executor's.
_KEEPING_REASONS = (pb.REFUSAL_REASON_INVALID, pb.REFUSAL_REASON_NOT_CANCELLED)


class Session:
    """The session of one executor on one stream."""

    def __init__(
        self,
        hello: pb.Hello,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        controls: Controls,
        names: Sequence[str] = (),
    ) -> None:
        """`names` are those of the executor's certificate, within the bounds of a heartbeat."""
        self.executor_id = hello.executor_id
        #: The kinds of jobs that the executor has handlers for.
        self.kinds = tuple(map(JobKind.of, hello.job_types))
        self.slots = FreeSlots(hello)
        #: The priority of each kind whose handler sets one.
        self._priorities = {
            JobKind.of(one): one.priority for one in hello.job_types if one.priority
        }
        #: What of the stream was out of bounds; empty if nothing was. It ends the stream.
        self.fault = ""
        self._jobs = jobs
        self._replica = replica
        self._controls = controls
        self._heartbeats = HeartbeatPublisher(hello, names, roster)
        #: By the command of the reports that each of them throttles.
        self._throttles = {
            # A method of the session would tie the session to itself, and keep its memory long.
            kind: ReportThrottle(bind(answer_report, jobs))
            for kind in (ReportProgress, SaveCheckpoint)
        }
        #: The runs whose ends are reported and not decided yet.
        self._reported: set[RunKey] = set()
        self._next_response = NextResponse()
        #: Set when the stream has something to do: a response is due, or the session may end.
        self._wake = asyncio.Event()
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = asyncio.Semaphore(MAX_PENDING_ENTRIES)
        self._pending_bytes = 0
        #: Set each time an entry is decided.
        self._decided = asyncio.Event()

    def cancel(self, run: Run) -> None:
        """Asks the executor to cancel a run."""
        self._next_response.cancel(run)
        self._wake.set()

    def stop(self, run: Run) -> None:
        """Asks the executor to end a run whose attempt is over, unless it has reported that."""
        key = run.job_id, run.attempt
        if self.slots.holds(key) and key not in self._reported:
            self._next_response.stop(run)
            self._wake.set()

    def priority_of(self, state: JobState) -> int:
        """Returns the priority of a job at this executor."""
        own = self._priorities.get(JobKind.of(state))
        return own or default_priority(state.invoke_type)

    def offer_room(self) -> int:
        """Returns how many more jobs may be offered now."""
        if self._next_response.has_offers:
            return 0  # the executor does not read, or has not read yet
        return min(self.slots.count, MAX_OPEN_OFFERS - self.slots.open_offers)

    def offer(self, offer: pb.Offer) -> None:
        """Offers the executor a waiting attempt."""
        job = offer.job
        slot_job = SlotJob(JobKind.of(job), job.tenant_id)
        self.slots.offer((job.job_id, job.attempt), slot_job)
        self._next_response.offer(offer)
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
            del first
            async for request in requests:
                await self._handle(request)
                del request  # it may be large, and the next one may come much later
        except OutOfBoundsError as error:
            self.fault = str(error)
        finally:
            self.end()

    async def responses(self) -> AsyncIterator[pb.SessionResponse]:
        """Yields the responses; each carries everything that is ready at its time."""
        try:
            while True:
                if self._next_response.is_due:
                    response = self._next_response.take()
                    yield response
                    # Released only after the response was taken, so that an executor that does not
                    # read its answers is not read either.
                    for _ in response.answers:
                        self._pending.release()
                elif self._ending and not self._tasks:
                    for throttle in self._throttles.values():
                        throttle.release_all()
                        await throttle.wait()
                    return
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            for throttle in self._throttles.values():
                throttle.release_all()
            for task in self._tasks:
                task.cancel()

    async def _handle(self, request: pb.SessionRequest) -> None:
        check_message(request)
        while self._pending_bytes > MAX_PENDING_BYTES:
            self._decided.clear()
            await self._decided.wait()
        # Each entry keeps its whole message in memory, so the entries share the message's size.
        size = request.ByteSize() // max(len(request.claims) + len(request.reports), 1)
        for claim in request.claims:
            await self._pending.acquire()
            self._handle_claim(claim, size)
        for report in request.reports:
            await self._pending.acquire()
            self._start(self._answer(self._answer_report(report)), size)
        if request.HasField("heartbeat"):
            await self._handle_heartbeat(request.heartbeat)

    def _handle_claim(self, claim: pb.Claim, size: int) -> None:
        try:
            command = command_of_claim(self.executor_id, claim, self._controls.paused.keys())
        except ValueError as error:
            self._next_response.refuse(refuse_invalid(claim.entry_id, error))
            self._wake.set()
            return
        run = command.job_id, command.attempt
        self.slots.claim(run, self._job_of(run))
        self._start(self._answer(self._answer_claim(claim, command)), size)

    async def _handle_heartbeat(self, heartbeat: pb.Heartbeat) -> None:
        runs = parse_runs("runs", heartbeat.runs)
        claims = parse_runs("claims", heartbeat.claims)
        # An attempt whose claim is not answered yet counts as a run for the other replicas.
        if publishing := self._heartbeats.publish(heartbeat, [*runs, *claims]):
            self._start(publishing)
        held = dict[RunKey, SlotJob | None]()
        for number, run in enumerate((*runs, *claims), 1):
            stored = self._replica.get(run.job_id)
            held[run.job_id, run.attempt] = _slot_job(stored)
            if stored and number <= len(runs):
                self._check_run(run, stored)
            if not number % RUNS_PER_TURN:
                await asyncio.sleep(0)
        self.slots.beat(heartbeat, held, map(JobKind.of, heartbeat.full_job_types))
        self._next_response.answer_heartbeat()
        self._wake.set()

    def _start(self, work: Coroutine[Any, Any, None], size: int = 0) -> None:
        """Starts work in a task, so that the stream's next request need not wait for it.

        `size` is the number of bytes that the work keeps of what the client sent.
        """
        self._pending_bytes += size
        task = asyncio.create_task(work, name="work of a session")
        self._tasks.add(task)
        task.add_done_callback(bind(self._on_done, size))

    async def _answer(self, deciding: Coroutine[Any, Any, pb.Answer]) -> None:
        await self._next_response.answer(await deciding)

    async def _answer_claim(self, claim: pb.Claim, command: Claim) -> pb.Answer:
        answer = await answer_claim(self._jobs, claim, command)
        run = command.job_id, command.attempt
        if answer.HasField("refused"):
            self.slots.free(run)
        elif answer.HasField("accepted"):
            self.slots.grant(run, self._job_of(run))
        else:
            self.slots.withdraw(run)
        return answer

    async def _answer_report(self, report: pb.Report) -> pb.Answer:
        try:
            command = command_of_report(self.executor_id, report)
        except ValueError as error:
            return refuse_invalid(report.entry_id, error)
        if isinstance(command, ReportProgress | SaveCheckpoint):
            return await self._throttles[type(command)].answer(report, command)
        run = command.job_id, command.attempt
        self._reported.add(run)
        try:
            for throttle in self._throttles.values():
                await throttle.end(command)
            answer = await answer_report(self._jobs, report, command)
        finally:
            self._reported.discard(run)
        # A refusal of these reasons says that the run is still the executor's.
        keeps = answer.refused.reason in _KEEPING_REASONS
        if not (keeps or answer.HasField("undecided")):
            self.slots.free(run)
        return answer

    def _on_done(self, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pending_bytes -= size
        self._decided.set()
        self._wake.set()

    def _job_of(self, run: RunKey) -> SlotJob | None:
        """What is known of the run's job; None if this replica has not read the job yet."""
        return _slot_job(self._replica.get(run[0]))

    def _check_run(self, run: Run, stored: StoredJob) -> None:
        """Repeats a pending cancel, and stops a run that is not this executor's by the fold."""
        if is_foreign(stored.job, run.attempt, self.executor_id):
            self._next_response.stop(run)
            self._wake.set()
        elif stored.job.state.phase is JobPhase.STOPPING:
            self.cancel(run)


def _slot_job(stored: StoredJob | None) -> SlotJob | None:
    if stored is None:
        return None
    state = stored.job.state
    return SlotJob(JobKind.of(state), state.tenant_id)
