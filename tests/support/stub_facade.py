"""A facade's gRPC API that answers what the test says, on a loopback socket."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import (
    JobStatusServiceServicer,
    add_JobStatusServiceServicer_to_server,
)

JOB = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
CREATED = Timestamp(seconds=1_795_464_841)  # 2026-11-23T20:14:01Z


def job(**changes: Any) -> pb.Job:
    """A job that has completed, unless said otherwise."""
    values: dict[str, Any] = {
        "job_id": JOB,
        "tenant_id": JOB,
        "workspace_id": JOB,
        "item_id": JOB,
        "item_type": "Item",
        "job_type": "run",
        "invoke_type": "Manual",
        "status": pb.JOB_INSTANCE_STATUS_COMPLETED,
        "phase": pb.JOB_PHASE_ENDED,
        "attempt": 1,
        "sequence": 3,
        "create_time": CREATED,
    }
    return pb.Job(**(values | changes))


class Failure(Exception):  # noqa: N818 - an answer, not a mistake
    """The call fails with this code and reason."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class StubFacade(JobStatusServiceServicer):
    """Keeps the requests, and answers each by `answer`; a watch by `watches`, one after another."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer: Callable[[Any], Any] = lambda request: None
        self.watches: list[list[pb.WatchJobsResponse]] = []
        self.address = ""

    def GetJob(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's spelling
        """One answer; so are the next ones."""
        return self._answered(request, context)

    ListJobs = ListExecutors = CancelJob = RetryJob = GetJob

    def WatchJobs(  # noqa: N802 - gRPC's spelling
        self, request: pb.WatchJobsRequest, context: Any
    ) -> Iterator[pb.WatchJobsResponse]:
        """The next of the watches, which then ends as at the facade's stop."""
        self.requests.append(request)
        yield pb.WatchJobsResponse()
        yield from self.watches.pop(0)

    def _answered(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        try:
            return self.answer(request)
        except Failure as failure:
            _abort(context, failure)


def _abort(context: Any, failure: Failure) -> NoReturn:
    detail = AnyProto()
    detail.Pack(ErrorInfo(reason=failure.reason, domain="fabric-jobs"))
    status = Status(code=failure.code.value[0], message=failure.message, details=[detail])
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    context.set_trailing_metadata(trailing)
    context.abort(failure.code, failure.message)
    raise AssertionError("abort raises")


@contextmanager
def stub_facade() -> Iterator[StubFacade]:
    """It answers at its address until the end of the block."""
    stub = StubFacade()
    server = grpc.server(ThreadPoolExecutor(2))
    add_JobStatusServiceServicer_to_server(stub, server)  # type: ignore[no-untyped-call]
    stub.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield stub
    finally:
        server.stop(None).wait()
