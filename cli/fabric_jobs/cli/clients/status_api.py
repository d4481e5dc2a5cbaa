"""Calls the facade's gRPC status API; what fails becomes one line that says what to do."""

import os
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.cli.errors import InputError
from fabric_jobs.runtime.channels import facade_tls, open_channel, remedy
from fabric_jobs.runtime.settings import ClientSettings, SettingsError, from_env
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub

ANSWER_S = 10.0
MAX_PAGE = 1000
_OPTIONS = [
    # An internal address: a proxy of the environment's can't know it.
    ("grpc.enable_http_proxy", 0),
    # A watch notices a facade whose machine is gone. No server takes pings more often.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
#: What to try next, by the reason of an error.
_NEXT = {
    "JOB_NOT_FOUND": "`fabric-jobs jobs list` shows those that are.",
    "JOB_NOT_FINAL": "`fabric-jobs jobs cancel` and `fabric-jobs jobs watch` do that.",
}

T = TypeVar("T")


class StatusApiError(InputError):
    """The facade didn't do what it was asked."""


class UnavailableError(StatusApiError):
    """The facade gave no answer, or one that says to ask again."""


class StatusApi:
    """A client of `JobStatusService` at one address. Its methods raise `StatusApiError`.

    The facade knows it by the certificate that the environment names.
    """

    def __init__(self, address: str, answer_s: float = ANSWER_S) -> None:
        self.address = address
        self._answer_s = answer_s
        try:
            self._tls = facade_tls(from_env(ClientSettings, os.environ))
            self._channel = open_channel(address, self._tls, _OPTIONS)
        except (SettingsError, OSError) as error:
            raise StatusApiError(str(error)) from error
        self._stub = JobStatusServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> "StatusApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def get(self, job_id: str) -> pb.GetJobResponse:
        """One job, with its payload."""
        request = pb.GetJobRequest(job_id=job_id)
        return await self._answer(self._stub.GetJob(request, timeout=self._answer_s))

    async def list(self, filters: pb.ListJobsRequest, most: int) -> tuple[list[pb.Job], bool]:
        """The newest jobs, at most so many, and whether more fit the filters."""
        request, jobs = pb.ListJobsRequest(), list[pb.Job]()
        request.CopyFrom(filters)
        while True:
            request.page_size = min(most - len(jobs), MAX_PAGE)
            page = await self._answer(self._stub.ListJobs(request, timeout=self._answer_s))
            jobs += page.jobs
            request.page_token = page.next_page_token
            if not page.next_page_token or len(jobs) >= most:
                return jobs, bool(page.next_page_token)

    async def executors(self) -> Sequence[pb.Executor]:
        """The executors that are there, by pool and id."""
        call = self._stub.ListExecutors(pb.ListExecutorsRequest(), timeout=self._answer_s)
        answer: pb.ListExecutorsResponse = await self._answer(call)
        return answer.executors

    async def cancel(self, job_id: str) -> pb.Job:
        """The job after the cancel."""
        request = pb.CancelJobRequest(job_id=job_id)
        call = self._stub.CancelJob(request, timeout=self._answer_s)
        answer: pb.CancelJobResponse = await self._answer(call)
        return answer.job

    async def retry(self, job_id: str, new_job_id: str) -> pb.Job:
        """The new job."""
        request = pb.RetryJobRequest(job_id=job_id, new_job_id=new_job_id)
        call = self._stub.RetryJob(request, timeout=self._answer_s)
        answer: pb.RetryJobResponse = await self._answer(call)
        return answer.job

    async def watch(self, job_id: str = "") -> AsyncGenerator[pb.WatchJobsResponse, None]:
        """The events applied from now on, of this job alone where one is named.

        The first is empty, and says that the watch has begun. Ends only by `UnavailableError`.
        """
        call = self._stub.WatchJobs(pb.WatchJobsRequest(job_id=job_id))
        try:
            async for applied in call:
                yield applied
        except grpc.aio.AioRpcError as error:
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
        code, details, reason = error.code(), error.details() or "", _reason(error)
        if reason:
            kind = UnavailableError if code is grpc.StatusCode.UNAVAILABLE else StatusApiError
            return kind(f"{details} {_NEXT.get(reason, '')}")
        if code is grpc.StatusCode.UNAVAILABLE and (what := remedy(details)):
            return UnavailableError(f"{self.address} takes no connection. {what}")
        if code is grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(
                f"No facade answers at {self.address}. Start one with `fabric-jobs dev`, or name "
                "another's gRPC address with --grpc."
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnavailableError(f"{self.address} gave no answer in {self._answer_s:.0f} s.")
        return StatusApiError(f"{self.address} answered {code.name}: {details}")


def _reason(error: grpc.aio.AioRpcError) -> str | None:
    """The reason that the facade gave; none where the error is not of its making."""
    metadata = dict(error.trailing_metadata() or ())
    status, info = Status(), ErrorInfo()
    with suppress(KeyError, DecodeError, IndexError):
        status.ParseFromString(metadata["grpc-status-details-bin"])
        status.details[0].Unpack(info)
    return info.reason or None
