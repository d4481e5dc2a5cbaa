"""Any message of the status API, sent to a running server, gets an answer or a declared error.

The messages come from the descriptors, so a new field is covered when it is declared.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE
from fabric_jobs.contract.heartbeats import Heartbeat
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.lifecycle import Command
from fabric_jobs.facade.peers import Peers
from fabric_jobs.facade.replica import Filter, StoredJob
from fabric_jobs.facade.rpc import RpcServer
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.monitor import FoldedJobs, a_request
from tests.support.rpc_kit import no_copies
from tests.support.strategies import GUID, examples, messages_of

#: The codes that the .proto declares for a request that is wrong, or that names no such job.
DECLARED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
}
#: The type of the request of each unary call.
UNARY: dict[str, Any] = {
    method.name: GetMessageClass(method.input_type)
    for method in pb.DESCRIPTOR.services_by_name["JobStatusService"].methods
    if not (method.client_streaming or method.server_streaming)
}


class AnyFacade(FoldedJobs):
    """Jobs, replica and roster of one facade without Kafka; the job `GUID` runs."""

    def __init__(self) -> None:
        super().__init__()
        self.do(a_request(job_id=GUID))
        self.start(GUID)
        self.beats = 0
        self.clock = Clock()
        self.peers = Peers("/test", int(DEFAULT_LONGEST_LIFE.total_seconds()))

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Applies the command's event."""
        return self.do(command)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None
    ) -> tuple[Sequence[StoredJob], dict[int, int]]:
        """Lists the jobs of the replica."""
        return await self.replica.list(which, limit, before), {0: 1}

    def find(self, executor_id: str) -> None:
        """Returns no executor."""

    def partition(self, job_id: str) -> int:
        """All jobs are in one partition."""
        return 0

    def position(self, job_id: str) -> tuple[int, int]:
        """Returns a position."""
        return 0, 1

    async def publish(self, heartbeat: Heartbeat) -> None:
        """Checks that every facade could read the heartbeat."""
        assert heartbeats.decode(heartbeats.encode(heartbeat)) == heartbeat
        self.beats += 1

    def served_kinds(self) -> Any:
        """Returns the job types that the roster's executors serve."""
        return self.roster.served_kinds()

    def executors(self) -> Sequence[Any]:
        """Returns the executors of the roster."""
        return self.roster.executors()


class Server:
    """A running server and a client of it, in one event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.facade = AnyFacade()
        self._runner.run(self._start())

    async def _start(self) -> None:
        facade: Any = self.facade
        self._rpc = RpcServer(
            facade,
            facade.replica,
            facade,
            facade.job_types,
            no_copies(),
            lambda: True,
            "127.0.0.1",
            0,
            None,
        )
        await self._rpc.start()
        self._channel = grpc.aio.insecure_channel(self._rpc.address)
        self._stub: Any = JobStatusServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def call(self, method: str, request: Any) -> grpc.StatusCode:
        """Returns the code of a unary call."""

        async def call() -> grpc.StatusCode:
            try:
                await getattr(self._stub, method)(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        return self._runner.run(call())

    def watch(self, request: pb.WatchJobsRequest) -> grpc.StatusCode:
        """Returns the code of a watch that is ended after its first message."""

        async def watch() -> grpc.StatusCode:
            call = self._stub.WatchJobs(request, timeout=10)
            try:
                await call.read()
            except grpc.aio.AioRpcError as error:
                return error.code()
            call.cancel()
            return grpc.StatusCode.OK

        return self._runner.run(watch())

    def session(self, requests: Sequence[pb.SessionRequest]) -> tuple[grpc.StatusCode, set[int]]:
        """Returns the code of a session, and the entry ids that were answered."""

        async def session() -> tuple[grpc.StatusCode, set[int]]:
            async def send() -> AsyncIterator[pb.SessionRequest]:
                for request in requests:
                    yield request

            answered = set[int]()
            try:
                async for response in self._stub.Session(send(), timeout=20):
                    answered.update(answer.entry_id for answer in response.answers)
            except grpc.aio.AioRpcError as error:
                # What grpc.aio's client says if the server ended the stream during a write.
                cut = error.details() == "Internal error from Core"
                return (grpc.StatusCode.INVALID_ARGUMENT if cut else error.code()), answered
            return grpc.StatusCode.OK, answered

        return self._runner.run(session())

    def stop(self) -> None:
        """Stops client and server."""
        self._runner.run(self._channel.close())
        self._runner.run(self._rpc.stop())
        self._runner.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yields a running server."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in which anything logged an error, such as an exception of a task."""
    yield
    assert [one for one in caplog.get_records("call") if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("method", UNARY)
def test_any_request_of_a_unary_call_gets_a_declared_code(server: Server, method: str) -> None:
    """No value of a field leads to an internal error."""

    @given(messages_of(UNARY[method]))
    @examples(60)
    def call(request: Any) -> None:
        assert server.call(method, request) in DECLARED

    call()


def test_any_request_of_a_watch_gets_a_declared_code(server: Server) -> None:
    """The watch begins, or its request is refused."""

    @given(messages_of(pb.WatchJobsRequest))
    @examples(40)
    def watch(request: pb.WatchJobsRequest) -> None:
        assert server.watch(request) in DECLARED

    watch()


HELLO = pb.Hello(
    executor_id="executor", slots=3, job_types=[pb.JobType(item_type="Item", job_type="job")]
)


def test_any_message_of_a_session_is_answered_or_ends_it_with_a_declared_code(
    server: Server,
) -> None:
    """Each entry of a message that is taken has its answer, also an entry that is wrong."""

    @given(st.lists(messages_of(pb.SessionRequest), max_size=3))
    @examples(80)
    def session(messages: Sequence[pb.SessionRequest]) -> None:
        code, answered = server.session([pb.SessionRequest(hello=HELLO), *messages])
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
        if code is grpc.StatusCode.OK:
            sent: list[Any] = [entry for one in messages for entry in (*one.claims, *one.reports)]
            assert answered == {entry.entry_id for entry in sent}

    session()


def test_any_first_message_of_a_session_gets_a_declared_code(server: Server) -> None:
    """A hello that is out of bounds is refused."""

    @given(messages_of(pb.SessionRequest))
    @examples(40)
    def session(first: pb.SessionRequest) -> None:
        code, _ = server.session([first])
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}

    session()
