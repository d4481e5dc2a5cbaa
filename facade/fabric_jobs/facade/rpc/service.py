"""The methods that read, list, watch, cancel and retry jobs."""

import asyncio
from collections.abc import AsyncIterator

import grpc

from fabric_jobs.contract import events
from fabric_jobs.contract.topics import canonical_job_id
from fabric_jobs.contract.wire import time_to_proto
from fabric_jobs.facade.jobs.instance import retry_request
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Reason, RequestCancel, RequestRetry
from fabric_jobs.facade.replica import Change, Replica
from fabric_jobs.facade.replica.filter import created_us
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.convert import executor_to_proto, job_to_proto
from fabric_jobs.facade.rpc.errors import Context, abort, abort_invalid, abort_refused, answered
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.facade.rpc.pages import Place, from_token, to_token
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1 import job_status_pb2_grpc

DEFAULT_PAGE = 50
MAX_PAGE = 1000
#: Events that a watcher may be behind before it is cut.
WATCH_BUFFER = 10_000


class JobStatusService(job_status_pb2_grpc.JobStatusServiceServicer):
    """`fabric_jobs.status.v1.JobStatusService` over one replica."""

    def __init__(self, jobs: Jobs, replica: Replica, roster: Roster, sessions: Sessions) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._sessions = sessions
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends every stream from this side: one that its client cancels leaks memory."""
        self._stopping.set()
        self._sessions.stop()

    async def Session(
        self, request_iterator: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        # An async generator itself: gRPC takes a function that returns one for a blocking handler.
        async for response in self._sessions.serve(request_iterator, context):
            yield response

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        job_id = await _job_id(request.job_id, context)
        async with answered(context):
            entry = await self._jobs.read(job_id)
        if entry is None:
            await abort_refused(context, Reason.NOT_FOUND)
        return pb.GetJobResponse(
            job=job_to_proto(entry.job), position=self._position(job_id), payload=entry.job.payload
        )

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        if request.page_size < 0:
            await abort_invalid(context, "INVALID_PAGE_SIZE", "page_size must not be negative.")
        try:
            which = filter_of(request)
        except ValueError as error:
            await abort_invalid(context, "INVALID_FILTER", f"{error}.")
        try:
            before = from_token(request.page_token, which)
        except ValueError as error:
            message = f"page_token can't be used: {error}. Ask for the first page."
            await abort_invalid(context, "INVALID_PAGE_TOKEN", message)
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        async with answered(context):
            # One more than the page tells whether another follows.
            found, positions = await self._jobs.list(which, size + 1, before)
        token = ""
        if len(found) > size:
            last = found[size - 1].job
            token = to_token(Place(created_us(last), last.job_id, which))
        return pb.ListJobsResponse(
            jobs=[job_to_proto(entry.job) for entry in found[:size]],
            next_page_token=token,
            positions=[
                pb.Position(partition=number, offset=offset) for number, offset in positions.items()
            ],
        )

    async def CancelJob(
        self, request: pb.CancelJobRequest, context: Context
    ) -> pb.CancelJobResponse:
        job_id = await _job_id(request.job_id, context)
        async with answered(context):
            entry = await self._jobs.execute(RequestCancel(job_id=job_id))
        return pb.CancelJobResponse(job=job_to_proto(entry.job), position=self._position(job_id))

    async def RetryJob(self, request: pb.RetryJobRequest, context: Context) -> pb.RetryJobResponse:
        job_id = await _job_id(request.job_id, context)
        new_job_id = await _job_id(request.new_job_id, context, "new_job_id")
        if new_job_id == job_id:
            await abort_invalid(context, "INVALID_JOB_ID", "new_job_id must be another job's.")
        async with answered(context):
            ended = await self._jobs.execute(RequestRetry(job_id=job_id))
            entry = await self._jobs.execute(retry_request(ended.job, new_job_id))
        return pb.RetryJobResponse(job=job_to_proto(entry.job), position=self._position(new_job_id))

    async def ListExecutors(
        self, request: pb.ListExecutorsRequest, context: Context
    ) -> pb.ListExecutorsResponse:
        return pb.ListExecutorsResponse(executors=map(executor_to_proto, self._roster.executors()))

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobsResponse]:
        only = await _job_id(request.job_id, context) if request.job_id else None
        changes: asyncio.Queue[Change | None] = asyncio.Queue()

        def changed(change: Change) -> None:
            if only not in (None, change.stored.job.job_id):
                return
            if changes.qsize() < WATCH_BUFFER:
                changes.put_nowait(change)
            else:
                behind.set()

        behind = asyncio.Event()
        sent: dict[int, int] = {}
        stopped = asyncio.create_task(self._stopping.wait(), name="watch until stop")
        stopped.add_done_callback(lambda _: changes.put_nowait(None))
        self._replica.listeners.add(changed)
        try:
            yield pb.WatchJobsResponse()
            while not behind.is_set():
                change = await changes.get()
                if change is None:
                    return
                yield _watched(change)
                sent[change.stored.partition] = change.stored.offset + 1
        finally:
            self._replica.listeners.discard(changed)
            stopped.cancel()
        await abort(
            context,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "WATCHER_BEHIND",
            f"The watch fell {WATCH_BUFFER} events behind. List the jobs, then watch again; the "
            "events in between stand on the topic, from the offsets in this error's metadata on.",
            {f"offset.{partition}": str(offset) for partition, offset in sorted(sent.items())},
        )

    def _position(self, job_id: str) -> pb.Position:
        partition, offset = self._jobs.position(job_id)
        return pb.Position(partition=partition, offset=offset)


def _watched(change: Change) -> pb.WatchJobsResponse:
    return pb.WatchJobsResponse(
        job=job_to_proto(change.stored.job),
        event_id=change.event.id,
        event_type=events.type_of(change.event),
        position=pb.Position(partition=change.stored.partition, offset=change.stored.offset + 1),
        event_time=time_to_proto(change.event.time),
    )


async def _job_id(text: str, context: Context, name: str = "job_id") -> str:
    try:
        return canonical_job_id(text)
    except ValueError:
        await abort_invalid(context, "INVALID_JOB_ID", f"{name} is not a GUID.")
