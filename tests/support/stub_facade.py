"""A facade's gRPC API on a loopback socket, whose answers a test chooses."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from click.testing import CliRunner, Result
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.cli.main import main
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import (
    JobStatusServiceServicer,
    add_JobStatusServiceServicer_to_server,
)

JOB = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
OTHER_JOB = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
CREATED = Timestamp(seconds=1_795_464_841)  # 2026-11-23T20:14:01Z
#: What changes the completed job of `job` into a running or a failed one.
RUNNING = {"status": pb.JOB_INSTANCE_STATUS_IN_PROGRESS, "phase": pb.JOB_PHASE_RUNNING}
FAILED = {"status": pb.JOB_INSTANCE_STATUS_FAILED}
#: An error message with markup, a line break and control characters.
HOSTILE_ERROR = pb.Error(error_code="Odd", message="[red]one[/]\n\x1b[31mtwo\x07", source="User")


def job(**changes: Any) -> pb.Job:
    """A completed job, with these changes."""
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


def watch_event(state: pb.Job, event: str = "started") -> pb.WatchJobsResponse:
    """An item of a watch: the event of this name, and the job after it."""
    return pb.WatchJobsResponse(
        job=state, event_id="e", event_type=f"fabric.jobs.{event}", event_time=CREATED
    )


class Failure(Exception):  # noqa: N818 - an answer, not a mistake
    """An answer: the call fails with this code, reason and message."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class StubFacade(JobStatusServiceServicer):
    """Records each request. `answer` answers a call; `watches` has the events of each watch."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer: Callable[[Any], Any] = lambda request: None
        self.watches: list[Iterable[pb.WatchJobsResponse]] = []
        self.address = ""

    def run(self, *arguments: str) -> Result:
        """Runs `fabric-jobs` with the arguments, in this process, against this facade."""
        return CliRunner().invoke(main, (*arguments, "--grpc", self.address))

    def GetJob(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's spelling
        """Answers this call, and the unary calls below."""
        self.requests.append(request)
        try:
            return self.answer(request)
        except Failure as failure:
            _abort(context, failure)

    ListJobs = ListExecutors = CancelJob = RetryJob = GetJob
    ListJobTypes = PauseJobType = ResumeJobType = GetJob

    def WatchJobs(  # noqa: N802 - gRPC's spelling
        self, request: pb.WatchJobsRequest, context: Any
    ) -> Iterator[pb.WatchJobsResponse]:
        """Streams the next of the watches, and ends it as a facade that stops does."""
        self.requests.append(request)
        yield pb.WatchJobsResponse()
        try:
            yield from self.watches.pop(0)
        except Failure as failure:
            context.abort(failure.code, failure.message)


def _abort(context: Any, failure: Failure) -> NoReturn:
    detail = AnyProto()
    detail.Pack(ErrorInfo(reason=failure.reason, domain="fabric-jobs"))
    status = Status(code=failure.code.value[0], message=failure.message, details=[detail])
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    context.set_trailing_metadata(trailing)
    context.abort(failure.code, failure.message)
    raise AssertionError("abort raises")


@contextmanager
def start_stub_facade() -> Iterator[StubFacade]:
    """Serves a stub at its address until the end of the block."""
    stub = StubFacade()
    server = grpc.server(ThreadPoolExecutor(2))
    add_JobStatusServiceServicer_to_server(stub, server)  # type: ignore[no-untyped-call]
    stub.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield stub
    finally:
        server.stop(None).wait()
