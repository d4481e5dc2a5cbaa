"""A facade whose answers a test scripts, and job events as they lie on the topic."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
from msgspec import UNSET, Raw

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Dispatch, EventData, Requested, Started
from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, JobPhase, JobState
from fabric_jobs.facade.rpc.errors import abort_invalid
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import (
    JobStatusServiceServicer,
    add_JobStatusServiceServicer_to_server,
)
from tests.support.lifecycle import ITEM, TENANT, WORKSPACE

ITEM_TYPE, JOB_TYPE = "Test.Item", "test"
#: Seconds after which a wait for something that must happen fails the test.
WAIT_TIMEOUT_S = 10

Entry = pb.Claim | pb.Report
#: Returns the answer to an entry, or `None` for no answer.
Script = Callable[[Entry], pb.Answer | None]


def accept(entry: Entry) -> pb.Answer:
    """A script that accepts every entry."""
    record = pb.Record(event_id=f"accepted-{entry.entry_id}")
    return pb.Answer(entry_id=entry.entry_id, accepted=record)


def answer_nothing(entry: Entry) -> None:
    """A script that answers no entry."""


def refuse(reason: pb.RefusalReason) -> Script:
    """Returns a script that refuses every entry for this reason."""
    return lambda entry: pb.Answer(entry_id=entry.entry_id, refused=pb.Refusal(reason=reason))


class FakeFacade(JobStatusServiceServicer):
    """Records what executors send on all streams, and answers as its script says."""

    def __init__(self) -> None:
        self.script: Script = accept
        #: Whether the facade answers heartbeats.
        self.answers_heartbeats = True
        #: If true, a new stream is ended at once.
        self.refuses_streams = False
        #: The reason for which a new stream's hello is refused, if it is not empty.
        self.hello_refusal = ""
        #: Cleared by a test in which the facade must stop reading its streams.
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.requests: list[pb.SessionRequest] = []
        #: The numbers of streams that were opened, half-closed by the client, and cancelled by it.
        self.opened = 0
        self.half_closed = 0
        self.cancelled = 0
        self.address = ""
        self._responses: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self._received = asyncio.Condition()

    async def Session(  # noqa: N802 - gRPC's spelling
        self,
        request_iterator: AsyncIterator[pb.SessionRequest],
        context: grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse],
    ) -> AsyncIterator[pb.SessionResponse]:
        """Serves one stream until the client half-closes it, or the test ends it."""
        self.opened += 1
        if self.refuses_streams:
            await context.abort(grpc.StatusCode.UNAVAILABLE)
        if self.hello_refusal:
            await abort_invalid(context, self.hello_refusal, "The hello is wrong.")
        if self.opened > 1:
            # The first stream keeps the queue: a test may send before the stream has arrived.
            self._responses = asyncio.Queue()
        responses = self._responses
        reader = asyncio.create_task(self._read(request_iterator, responses))
        try:
            while (response := await responses.get()) is not None:
                yield response
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            reader.cancel()

    async def _read(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        responses: asyncio.Queue[pb.SessionResponse | None],
    ) -> None:
        async for request in requests:
            await self.may_read.wait()
            entries: list[Entry] = [*request.claims, *request.reports]
            answers = [self.script(entry) for entry in entries]
            if any(answers) or (self.answers_heartbeats and request.HasField("heartbeat")):
                responses.put_nowait(pb.SessionResponse(answers=filter(None, answers)))
            async with self._received:
                self.requests.append(request)
                self._received.notify_all()
        self.half_closed += 1
        responses.put_nowait(None)

    @property
    def claims(self) -> list[pb.Claim]:
        """All claims in the order of their arrival, including repeated ones."""
        return [claim for request in self.requests for claim in request.claims]

    @property
    def reports(self) -> list[pb.Report]:
        """All reports in the order of their arrival, including repeated ones."""
        return [report for request in self.requests for report in request.reports]

    @property
    def outcomes(self) -> list[str | None]:
        """The outcome of each report, such as `completed`, in the order of their arrival."""
        return [report.WhichOneof("outcome") for report in self.reports]

    @property
    def heartbeats(self) -> list[pb.Heartbeat]:
        """All heartbeats in the order of their arrival."""
        return [request.heartbeat for request in self.requests if request.HasField("heartbeat")]

    async def wait_until(
        self, condition: Callable[[], object], timeout_s: float = WAIT_TIMEOUT_S
    ) -> None:
        """Waits until the condition is true. It is checked after each request."""
        async with asyncio.timeout(timeout_s), self._received:
            await self._received.wait_for(lambda: bool(condition()))

    async def wait_for_heartbeats(self, number: int) -> None:
        """Waits for this many further heartbeats."""
        target = len(self.heartbeats) + number
        await self.wait_until(lambda: len(self.heartbeats) >= target)

    def send(self, response: pb.SessionResponse) -> None:
        """Sends a message on the newest stream."""
        self._responses.put_nowait(response)

    def end_stream(self) -> None:
        """Ends the newest stream, as a replica that stops does."""
        self._responses.put_nowait(None)


@asynccontextmanager
async def serve(facade: FakeFacade) -> AsyncIterator[None]:
    """Serves the facade on a free loopback port, `facade.address`, until the block ends."""
    server = grpc.aio.server()
    add_JobStatusServiceServicer_to_server(facade, server)  # type: ignore[no-untyped-call]
    facade.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


def requested_event(
    job_id: str,
    payload: bytes = b"{}",
    *,
    item_type: str = ITEM_TYPE,
    job_type: str = JOB_TYPE,
    traceparent: str | None = None,
) -> Requested:
    """Returns the event of a new job, which dispatches its first attempt."""
    now = datetime.now(UTC)
    state = JobState(
        tenant_id=TENANT,
        workspace_id=WORKSPACE,
        item_type=item_type,
        item_id=ITEM,
        job_type=job_type,
        invoke_type=InvokeType.SCHEDULED,
        request_hash="hash",
        create_time=now,
        status=JobInstanceStatus.NOT_STARTED,
        phase=JobPhase.QUEUED,
        attempt=1,
    )
    return Requested(
        id=f"event of {job_id}",
        source="/test",
        subject=job_id,
        time=now,
        traceparent=traceparent or UNSET,
        data=EventData(sequence=1, follows=None, state=state, dispatch=Dispatch(Raw(payload))),
    )


def started_record(job_id: str) -> bytes:
    """Returns the value of a record that dispatches nothing: the grant of a job's first attempt."""
    event = requested_event(job_id)
    data = EventData(sequence=2, follows=event.id, state=event.data.state)
    return events.encode(
        Started(id="started", source="/test", subject=job_id, time=event.time, data=data)
    )
