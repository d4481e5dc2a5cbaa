"""The gRPC error of what a method raises, for every method of every service, on a socket."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from fabric_jobs.facade.controls import InvalidJobTypeError, JobTypes, UnknownJobTypeError
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import Reason, Refusal
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica import StateDamagedError
from fabric_jobs.facade.rpc import ReplicaService
from fabric_jobs.facade.rpc.errors import MAX_MESSAGE_BYTES
from fabric_jobs.facade.rpc.service import JobStatusService
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1 import replica_pb2
from tests.support.monitor import FoldedJobs
from tests.support.rpc_kit import EmptyFacade, error_info, serve

SERVICERS: dict[str, type] = {
    "JobStatusService": JobStatusService,
    "ReplicaService": ReplicaService,
}
SERVICE = pb.DESCRIPTOR.services_by_name["JobStatusService"]
SERVICES = [
    *pb.DESCRIPTOR.services_by_name.values(),
    *replica_pb2.DESCRIPTOR.services_by_name.values(),
]
EMPTY = empty_pb2.Empty()
METHODS = [method for service in SERVICES for method in service.methods]
#: What a method may raise, with the code and the reason of the call.
ERRORS = [
    (LogUnavailableError("The log is being read."), "UNAVAILABLE", "LOG_UNREACHABLE"),
    (StateDamagedError("The file is damaged."), "UNAVAILABLE", "STATE_UNUSABLE"),
    (UnavailableError(UnavailableReason.SEALED, "Sealed."), "UNAVAILABLE", "SEALED"),
    (RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True)), "NOT_FOUND", "JOB_NOT_FOUND"),
    (UnknownJobTypeError("No such type."), "NOT_FOUND", "JOB_TYPE_NOT_FOUND"),
    (InvalidJobTypeError("Too long."), "INVALID_ARGUMENT", "INVALID_JOB_TYPE"),
]


def raise_in(monkeypatch: pytest.MonkeyPatch, method: MethodDescriptor, error: Exception) -> None:
    """Makes the method of the facade's service raise the error."""

    async def fail(self: object, request: object, context: object) -> None:
        raise error

    async def fail_in_stream(self: object, request: object, context: object) -> AsyncIterator[Any]:
        raise error
        yield

    failing = fail_in_stream if method.server_streaming else fail
    monkeypatch.setattr(SERVICERS[method.containing_service.name], method.name, failing)


async def call(
    address: str, method: MethodDescriptor, request: Message = EMPTY
) -> grpc.aio.AioRpcError:
    """Calls the method. Returns the error of the call."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    async with grpc.aio.insecure_channel(address) as channel:
        codecs: Any = (lambda message: message.SerializeToString(), lambda data: data)
        answer: Awaitable[object]
        if method.client_streaming:
            answer = channel.stream_stream(path, *codecs)(iter([request])).read()
        elif method.server_streaming:
            answer = channel.unary_stream(path, *codecs)(request).read()
        else:
            answer = channel.unary_unary(path, *codecs)(request)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await answer
    return raised.value


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize(("error", "code", "reason"), ERRORS, ids=lambda one: type(one).__name__)
async def test_error_that_any_method_raises_is_a_canonical_code_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    method: MethodDescriptor,
    error: Exception,
    code: str,
    reason: str,
) -> None:
    """The methods come from the descriptors of the services, so that none is forgotten."""
    raise_in(monkeypatch, method, error)
    async with serve(None) as rpc:
        raised = await call(rpc.address, method)

    assert (raised.code().name, error_info(raised).reason) == (code, reason)


@pytest.mark.parametrize("letter", ["x", "\N{SNOWMAN}"])
async def test_message_of_an_error_is_cut_so_that_a_client_gets_the_error(
    monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    """A client refuses metadata of more than 8 KiB, and then sees neither code nor reason."""
    method = SERVICE.methods_by_name["PauseJobType"]
    raise_in(monkeypatch, method, UnknownJobTypeError(letter * 100_000))
    async with serve(None) as rpc:
        raised = await call(rpc.address, method)

    details = raised.details() or ""
    assert (raised.code(), error_info(raised).reason) == (
        grpc.StatusCode.NOT_FOUND,
        "JOB_TYPE_NOT_FOUND",
    )
    assert set(details) == {letter, "…"}
    assert MAX_MESSAGE_BYTES - 3 < len(details.encode()) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("method", ["PauseJobType", "ResumeJobType"])
async def test_long_name_of_a_job_type_is_an_invalid_argument(method: str) -> None:
    """The facade answers at once, and does not repeat the name."""
    make = {"PauseJobType": pb.PauseJobTypeRequest, "ResumeJobType": pb.ResumeJobTypeRequest}
    request: Any = make[method](item_type="a b " * 10_000, job_type="run", requested_by="a " * 9)
    if method == "PauseJobType":
        request.reason = "why"
    async with serve(None) as rpc:
        raised = await call(rpc.address, SERVICE.methods_by_name[method], request)

    assert raised.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(raised).reason == "INVALID_JOB_TYPE"
    assert raised.details() == "item_type must have 1 to 128 characters."


async def test_list_job_types_while_the_log_is_read_from_its_beginning_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The facade's jobs are incomplete then."""

    async def raise_unavailable(self: object) -> None:
        raise UnavailableError(UnavailableReason.LOG_UNREACHABLE, "Ask another one.")

    monkeypatch.setattr(EmptyFacade, "freshen", raise_unavailable)
    async with serve(None) as rpc:
        raised = await call(rpc.address, SERVICE.methods_by_name["ListJobTypes"])

    assert raised.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(raised).reason == "LOG_UNREACHABLE"


async def test_get_job_whose_replacement_can_t_be_read_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job is in memory, and its replacement is in the state file."""
    fold = FoldedJobs()
    job_id = fold.create()
    fold.cancel(job_id)

    async def read(self: object, job_id: str) -> object:
        return fold.replica.get(job_id)

    async def raise_state_error(self: object, job_ids: object) -> None:
        raise StateDamagedError("The file is damaged.")

    monkeypatch.setattr(EmptyFacade, "read", read)
    monkeypatch.setattr(EmptyFacade, "replacements", raise_state_error)
    async with serve(None) as rpc:
        raised = await call(
            rpc.address, SERVICE.methods_by_name["GetJob"], pb.GetJobRequest(job_id=job_id)
        )

    assert raised.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(raised).reason == "STATE_UNUSABLE"


async def test_job_types_list_raises_unavailable_for_an_error_of_the_log_or_the_state_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The monitor's pages rely on it as gRPC does."""
    fold = FoldedJobs()
    job_types: JobTypes = fold.job_types

    async def raise_state_error() -> None:
        raise StateDamagedError("The file is damaged.")

    monkeypatch.setattr(fold.replica, "unfinished_types", raise_state_error)
    with pytest.raises(UnavailableError) as raised:
        await job_types.list()

    assert raised.value.reason is UnavailableReason.STATE_UNUSABLE
