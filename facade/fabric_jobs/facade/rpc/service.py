"""The methods of `JobStatusService`."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from fabric_jobs.contract.controls import MAX_REASON_CHARS
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.topics import canonical_job_id
from fabric_jobs.facade.controls import JobTypes, start_hint
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.retries import retry_job
from fabric_jobs.facade.lifecycle import Reason, RequestCancel
from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.replica.paging import cut_page
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.access_tokens import AccessTokens
from fabric_jobs.facade.rpc.authorization import caller_name
from fabric_jobs.facade.rpc.convert import (
    executor_to_proto,
    job_to_proto,
    job_type_to_proto,
)
from fabric_jobs.facade.rpc.errors import Context, abort_invalid, abort_refused
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.facade.rpc.page_size import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, count_fitting
from fabric_jobs.facade.rpc.page_tokens import decode_page_token, encode_page_token
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.facade.rpc.watches import Watches
from fabric_jobs.facade.sealing import Revealed, SealedError
from fabric_jobs.runtime.telemetry.logs import bind_ids
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1 import job_status_pb2_grpc

log = logging.getLogger("fabric_jobs.rpc")


class JobStatusService(job_status_pb2_grpc.JobStatusServiceServicer):
    """`fabric_jobs.status.v1.JobStatusService` on one replica.

    `ErrorInterceptor` ends a call with the gRPC error of what a method raises.
    """

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        job_types: JobTypes,
        sessions: Sessions,
        access_tokens: AccessTokens,
    ) -> None:
        self._jobs = jobs
        self._reveal = jobs.secrets.reveal
        self._replica = replica
        self._roster = roster
        self._job_types = job_types
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._watches = Watches(replica, self._reveal)

    def stop(self) -> None:
        """Ends every stream here, because a stream that its client cancels leaks memory."""
        self._watches.stop()
        self._sessions.stop()

    async def Session(
        self, request_iterator: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        # A generator itself, because gRPC treats a function that returns one as a blocking handler.
        async for response in self._sessions.serve(request_iterator, context):
            yield response

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        job_id = await _job_id(request.job_id, context)
        stored = await self._jobs.read(job_id)
        if stored is None:
            await abort_refused(context, Reason.NOT_FOUND)
        revealed = self._reveal(stored.job)
        (job,) = await self._to_protos([revealed])
        response = pb.GetJobResponse(
            job=job, position=self._position(job_id), log_tail=str(revealed.job.log_tail)
        )
        with suppress(SealedError):  # `sealed_key_id` of the job says which key is missing
            content = self._jobs.secrets.content(stored.job)
            response.payload = content.payload
            response.definition = content.definition
            response.checkpoint = content.checkpoint or b""
        return response

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        if request.page_size < 0:
            await abort_invalid(context, "INVALID_PAGE_SIZE", "page_size must not be negative.")
        try:
            job_filter = filter_of(request)
        except ValueError as error:
            await abort_invalid(context, "INVALID_FILTER", f"{error}.")
        try:
            before = decode_page_token(request.page_token, job_filter)
        except ValueError as error:
            message = f"page_token is invalid: {error}. Ask for the first page."
            await abort_invalid(context, "INVALID_PAGE_TOKEN", message)
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        found, positions = await self._jobs.list(job_filter, size + 1, before)
        jobs = await self._to_protos([self._reveal(stored.job) for stored in found[:size]])
        page = cut_page(found, count_fitting(jobs))
        return pb.ListJobsResponse(
            jobs=jobs[: len(page.jobs)],
            next_page_token=encode_page_token(page.end, job_filter),
            positions=[
                pb.Position(partition=number, offset=offset) for number, offset in positions.items()
            ],
        )

    async def CancelJob(
        self, request: pb.CancelJobRequest, context: Context
    ) -> pb.CancelJobResponse:
        job_id = await _job_id(request.job_id, context)
        stored = await self._jobs.execute(RequestCancel(job_id=job_id))
        with bind_ids(job=job_id):
            log.info("cancel by %s: the job is %s", _caller(context), stored.job.state.phase)
        job = job_to_proto(self._reveal(stored.job))
        return pb.CancelJobResponse(job=job, position=_position_after(stored))

    async def RetryJob(self, request: pb.RetryJobRequest, context: Context) -> pb.RetryJobResponse:
        job_id = await _job_id(request.job_id, context)
        new_job_id = await _job_id(request.new_job_id, context, "new_job_id")
        if new_job_id == job_id:
            await abort_invalid(context, "INVALID_JOB_ID", "new_job_id must differ from job_id.")
        new = await retry_job(self._jobs, job_id, new_job_id)
        with bind_ids(job=job_id):
            log.info("retry by %s: the new job is %s", _caller(context), new_job_id)
        job = job_to_proto(self._reveal(new.job))
        return pb.RetryJobResponse(job=job, position=_position_after(new))

    async def ListExecutors(
        self, request: pb.ListExecutorsRequest, context: Context
    ) -> pb.ListExecutorsResponse:
        return pb.ListExecutorsResponse(executors=map(executor_to_proto, self._roster.executors()))

    async def ListJobTypes(
        self, request: pb.ListJobTypesRequest, context: Context
    ) -> pb.ListJobTypesResponse:
        states = await self._job_types.list()
        return pb.ListJobTypesResponse(job_types=map(job_type_to_proto, states))

    async def PauseJobType(
        self, request: pb.PauseJobTypeRequest, context: Context
    ) -> pb.PauseJobTypeResponse:
        if not 0 < len(request.reason.strip()) <= MAX_REASON_CHARS:
            message = f"reason must have 1 to {MAX_REASON_CHARS} characters."
            await abort_invalid(context, "INVALID_REASON", message)
        kind = JobKind.of(request)
        by = caller_name(context, request.requested_by)
        state = await self._job_types.pause(kind, request.reason.strip(), by)
        return pb.PauseJobTypeResponse(job_type=job_type_to_proto(state))

    async def ResumeJobType(
        self, request: pb.ResumeJobTypeRequest, context: Context
    ) -> pb.ResumeJobTypeResponse:
        kind = JobKind.of(request)
        by = caller_name(context, request.requested_by)
        state = await self._job_types.resume(kind, by)
        return pb.ResumeJobTypeResponse(job_type=job_type_to_proto(state))

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobsResponse]:
        job_id = await _job_id(request.job_id, context) if request.job_id else None
        # A caller that comes from another replica has seen events that this one must still read.
        await self._jobs.freshen()
        async for response in self._watches.serve(job_id, context):
            yield response

    async def GetAccessToken(
        self, request: pb.GetAccessTokenRequest, context: Context
    ) -> pb.GetAccessTokenResponse:
        return await self._access_tokens.get(request, context)

    async def _to_protos(self, revealed: Sequence[Revealed]) -> Sequence[pb.Job]:
        """The messages of jobs, with what keeps each from its start, or took its place."""
        jobs = [each.job for each in revealed]
        served, paused = self._roster.served_kinds(), self._job_types.controls.paused
        replaced = await self._replica.replacements([job.job_id for job in jobs if job.final])
        return [
            job_to_proto(
                each, start_hint(each.job, served, paused), replaced.get(each.job.job_id, "")
            )
            for each in revealed
        ]

    def _position(self, job_id: str) -> pb.Position:
        partition, offset = self._jobs.position(job_id)
        return pb.Position(partition=partition, offset=offset)


def _position_after(stored: StoredJob) -> pb.Position:
    """The position after the job's last event.

    The replica may have read more: one batch can hold the event of a command and the next one.
    """
    return pb.Position(partition=stored.partition, offset=stored.offset + 1)


def _caller(context: Context) -> str:
    """Returns the name in the client's certificate, or the client's address without one."""
    return caller_name(context, "") or str(context.peer())


async def _job_id(text: str, context: Context, name: str = "job_id") -> str:
    try:
        return canonical_job_id(text)
    except ValueError:
        await abort_invalid(context, "INVALID_JOB_ID", f"{name} is not a GUID.")
