"""The methods that read, list, watch and cancel jobs."""

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import grpc

from fabric_jobs import events
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1 import job_status_pb2_grpc
from fabric_jobs.topics import canonical_job_id
from facade.jobs import Jobs, RefusedError
from facade.lifecycle import RequestCancel
from facade.replica import Change, Replica
from facade.replica.store import created_us
from facade.roster import Roster
from facade.rpc.convert import STATUS_NAMES, executor_to_proto, job_to_proto
from facade.rpc.errors import Context, abort, answered
from facade.rpc.pages import Place, from_token, to_token
from facade.rpc.sessions import Sessions

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
            await _abort_unknown(context)
        return pb.GetJobResponse(job=job_to_proto(entry.job), position=self._position(job_id))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        unknown = [number for number in request.statuses if number not in STATUS_NAMES]
        if unknown or request.page_size < 0:
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_FILTER",
                f"page_size must not be negative, and statuses can't hold {unknown}.",
            )
        filters = f"{sorted(request.statuses)}{request.job_type}"
        try:
            before = from_token(request.page_token, filters)
        except ValueError as error:
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_PAGE_TOKEN",
                f"page_token can't be used: {error}. Ask for the first page.",
            )
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        statuses = [STATUS_NAMES[number] for number in request.statuses]
        async with answered(context):
            # One more than the page tells whether another follows.
            found = await self._jobs.list(statuses, request.job_type, size + 1, before)
        token = ""
        if len(found) > size:
            last = found[size - 1].job
            token = to_token(Place(created_us(last), last.job_id, filters))
        return pb.ListJobsResponse(
            jobs=[job_to_proto(entry.job) for entry in found[:size]],
            next_page_token=token,
            positions=[
                pb.Position(partition=number, offset=offset)
                for number, offset in self._jobs.positions.items()
            ],
        )

    async def CancelJob(
        self, request: pb.CancelJobRequest, context: Context
    ) -> pb.CancelJobResponse:
        job_id = await _job_id(request.job_id, context)
        async with answered(context):
            try:
                entry = await self._jobs.execute(RequestCancel(job_id=job_id))
            except RefusedError:
                await _abort_unknown(context)
        return pb.CancelJobResponse(job=job_to_proto(entry.job), position=self._position(job_id))

    async def ListExecutors(
        self, request: pb.ListExecutorsRequest, context: Context
    ) -> pb.ListExecutorsResponse:
        return pb.ListExecutorsResponse(executors=map(executor_to_proto, self._roster.executors()))

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobsResponse]:
        changes: asyncio.Queue[Change | None] = asyncio.Queue()

        def changed(change: Change) -> None:
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
                sent[change.entry.partition] = change.entry.offset + 1
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
        job=job_to_proto(change.entry.job),
        event_id=change.event.id,
        event_type=events.type_of(change.event),
        position=pb.Position(partition=change.entry.partition, offset=change.entry.offset + 1),
    )


async def _job_id(text: str, context: Context) -> str:
    try:
        return canonical_job_id(text)
    except ValueError:
        await abort(
            context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_JOB_ID", "job_id is not a GUID."
        )


async def _abort_unknown(context: Context) -> NoReturn:
    await abort(context, grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "No such job is known.")
