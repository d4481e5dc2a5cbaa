"""A client of the facade's gRPC status API, whose errors say in one line what to do."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from fabric_jobs.cli.clients.limits import TIMEOUT_S
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.run import run_or_exit
from fabric_jobs.runtime.channels import (
    connection_advice,
    error_reason,
    facade_tls,
    open_channel,
)
from fabric_jobs.runtime.settings import ClientSettings, SettingsError, from_env
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub

MAX_PAGE_SIZE = 1000
_CHANNEL_OPTIONS = [
    # The address is internal, and a proxy that the environment names can't reach it.
    ("grpc.enable_http_proxy", 0),
    # The facade's settings bound a payload and a definition, which may have more than 4 MiB.
    ("grpc.max_receive_message_length", -1),
]
#: The commands that help, by the reason of an error.
_REMEDIES = {
    "JOB_NOT_FOUND": "`fabric-jobs jobs list` shows the jobs that are known.",
    "JOB_NOT_FINAL": "Use `fabric-jobs jobs cancel` or `fabric-jobs jobs watch`.",
}

T = TypeVar("T")


class StatusApiError(InputError):
    """The facade refused a call."""


class UnavailableError(StatusApiError):
    """The facade gave no answer, or an answer that asks for another try."""


class StatusApi:
    """A client of `JobStatusService` at one address. Its methods raise `StatusApiError`.

    Over TLS it uses the certificates that the environment names.
    """

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s
        try:
            self._tls = facade_tls(from_env(ClientSettings, os.environ))
            self._channel = open_channel(address, self._tls, _CHANNEL_OPTIONS)
        except (SettingsError, OSError) as error:
            raise StatusApiError(str(error)) from error
        self._stub = JobStatusServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> "StatusApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def get(self, job_id: str) -> pb.GetJobResponse:
        """Returns the job and its payload."""
        request = pb.GetJobRequest(job_id=job_id)
        return await self._answer(self._stub.GetJob(request, timeout=self._timeout_s))

    async def list(self, filters: pb.ListJobsRequest, limit: int) -> tuple[list[pb.Job], bool]:
        """Returns the newest jobs up to the limit, and whether more jobs match the filters."""
        request, jobs = pb.ListJobsRequest(), list[pb.Job]()
        request.CopyFrom(filters)
        while True:
            request.page_size = min(limit - len(jobs), MAX_PAGE_SIZE)
            page = await self._answer(self._stub.ListJobs(request, timeout=self._timeout_s))
            jobs += page.jobs
            request.page_token = page.next_page_token
            if not page.next_page_token or len(jobs) >= limit:
                return jobs, bool(page.next_page_token)

    async def executors(self) -> Sequence[pb.Executor]:
        """Returns the connected executors, sorted by pool and id."""
        call = self._stub.ListExecutors(pb.ListExecutorsRequest(), timeout=self._timeout_s)
        answer: pb.ListExecutorsResponse = await self._answer(call)
        return answer.executors

    async def job_types(self) -> Sequence[pb.JobTypeState]:
        """Returns the job types, sorted by item type and job type."""
        call = self._stub.ListJobTypes(pb.ListJobTypesRequest(), timeout=self._timeout_s)
        answer: pb.ListJobTypesResponse = await self._answer(call)
        return answer.job_types

    async def pause_job_type(
        self, item_type: str, job_type: str, reason: str, by: str
    ) -> pb.JobTypeState:
        """Pauses the job type, and returns it."""
        request = pb.PauseJobTypeRequest(
            item_type=item_type, job_type=job_type, reason=reason, requested_by=by
        )
        call = self._stub.PauseJobType(request, timeout=self._timeout_s)
        answer: pb.PauseJobTypeResponse = await self._answer(call)
        return answer.job_type

    async def resume_job_type(self, item_type: str, job_type: str, by: str) -> pb.JobTypeState:
        """Resumes the job type, and returns it."""
        request = pb.ResumeJobTypeRequest(item_type=item_type, job_type=job_type, requested_by=by)
        call = self._stub.ResumeJobType(request, timeout=self._timeout_s)
        answer: pb.ResumeJobTypeResponse = await self._answer(call)
        return answer.job_type

    async def cancel(self, job_id: str) -> pb.Job:
        """Cancels the job, and returns it."""
        request = pb.CancelJobRequest(job_id=job_id)
        call = self._stub.CancelJob(request, timeout=self._timeout_s)
        answer: pb.CancelJobResponse = await self._answer(call)
        return answer.job

    async def retry(self, job_id: str, new_job_id: str) -> pb.Job:
        """Starts the job again under a new id, and returns the new job."""
        request = pb.RetryJobRequest(job_id=job_id, new_job_id=new_job_id)
        call = self._stub.RetryJob(request, timeout=self._timeout_s)
        answer: pb.RetryJobResponse = await self._answer(call)
        return answer.job

    async def watch(self, job_id: str = "") -> AsyncGenerator[pb.WatchJobsResponse, None]:
        """Yields each event that is applied from now on: of one job, or of all jobs.

        The first item has no event: it says that the watch has begun. Ends only with an error;
        `UnavailableError` if the facade stops.
        """
        call = self._stub.WatchJobs(pb.WatchJobsRequest(job_id=job_id))
        began = False
        try:
            async for event in call:
                began = True
                yield event
        except grpc.aio.AioRpcError as error:
            if began and error.code() is grpc.StatusCode.UNAVAILABLE and not error_reason(error):
                raise UnavailableError(
                    f"The connection to the facade at {self.address} broke: {error.details()}. "
                    "Watch again."
                ) from error
            raise self._error(error) from error
        finally:
            call.cancel()
        raise UnavailableError(f"The facade at {self.address} stopped. Watch again.")

    async def _answer(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error

    def _error(self, error: grpc.aio.AioRpcError) -> StatusApiError:
        code, details, reason = error.code(), error.details() or "", error_reason(error)
        if reason:
            kind = UnavailableError if code is grpc.StatusCode.UNAVAILABLE else StatusApiError
            return kind(f"{details} {_REMEDIES.get(reason, '')}")
        if code is grpc.StatusCode.UNAVAILABLE and (what := connection_advice(details)):
            return UnavailableError(f"{self.address} accepts no connection. {what}")
        if code is grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(
                f"No facade answers at {self.address}. Start one with `fabric-jobs dev`, or name "
                "another gRPC address with --grpc."
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnavailableError(
                f"{self.address} did not answer within {self._timeout_s:.0f} s."
            )
        return StatusApiError(f"{self.address} answered {code.name}: {details}")


def call_status_api(address: str, call: Callable[[StatusApi], Awaitable[T]]) -> T:
    """Runs the call with a client of the facade at the address, and returns its result.

    Raises `StatusApiError`. Exits with `INTERRUPTED` if a signal stops the command.
    """

    async def connect_and_call() -> T:
        async with StatusApi(address) as api:
            return await call(api)

    return run_or_exit(connect_and_call())
