"""A facade that does what the test says, and events as the log would carry them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
from msgspec import UNSET, Raw

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Dispatch, EventData, Requested, Started
from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, JobPhase, JobState
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import (
    JobStatusServiceServicer,
    add_JobStatusServiceServicer_to_server,
)

ITEM_TYPE, JOB_TYPE = "Test.Item", "test"
PATIENCE_S = 10

Entry = pb.Claim | pb.Report
Script = Callable[[Entry], pb.Answer | None]


def accept(entry: Entry) -> pb.Answer:
    """The script of a facade that accepts everything."""
    record = pb.Record(event_id=f"accepted-{entry.entry_id}")
    return pb.Answer(entry_id=entry.entry_id, accepted=record)


def silent(entry: Entry) -> None:
    """The script of a facade that answers nothing."""


def refuse(reason: pb.RefusalReason) -> Script:
    """The script of a facade that refuses everything."""
    return lambda entry: pb.Answer(entry_id=entry.entry_id, refused=pb.Refusal(reason=reason))


class FakeFacade(JobStatusServiceServicer):
    """Keeps what it is told, over all streams, and answers by its script."""

    def __init__(self) -> None:
        self.script: Script = accept
        #: Whether new streams are ended at once.
        self.refuses = False
        #: Set while what comes up is read.
        self.reads = asyncio.Event()
        self.reads.set()
        self.requests: list[pb.SessionRequest] = []
        self.streams = 0
        self.half_closed = 0
        self.cancelled = 0
        self.address = ""
        self._down: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self._told = asyncio.Condition()

    async def Session(  # noqa: N802 - gRPC's spelling
        self,
        request_iterator: AsyncIterator[pb.SessionRequest],
        context: grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse],
    ) -> AsyncIterator[pb.SessionResponse]:
        """One stream; it ends when the client's side does, or when the test says so."""
        self.streams += 1
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE)
        down = self._down = asyncio.Queue()
        reading = asyncio.create_task(self._read(request_iterator, down))
        try:
            while (response := await down.get()) is not None:
                yield response
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            reading.cancel()

    async def _read(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        down: asyncio.Queue[pb.SessionResponse | None],
    ) -> None:
        async for request in requests:
            await self.reads.wait()
            entries: list[Entry] = [*request.claims, *request.reports]
            answers = [self.script(entry) for entry in entries]
            if any(answers):
                down.put_nowait(pb.SessionResponse(answers=filter(None, answers)))
            async with self._told:
                self.requests.append(request)
                self._told.notify_all()
        self.half_closed += 1
        down.put_nowait(None)

    @property
    def claims(self) -> list[pb.Claim]:
        """All claims, repeated ones too."""
        return [claim for request in self.requests for claim in request.claims]

    @property
    def reports(self) -> list[pb.Report]:
        """All reports, repeated ones too."""
        return [report for request in self.requests for report in request.reports]

    @property
    def outcomes(self) -> list[str | None]:
        """The kinds of the reports, in order."""
        return [report.WhichOneof("outcome") for report in self.reports]

    @property
    def heartbeats(self) -> list[pb.Heartbeat]:
        """All heartbeats."""
        return [request.heartbeat for request in self.requests if request.HasField("heartbeat")]

    async def until(self, fact: Callable[[], object]) -> None:
        """Waits until the fact holds of what it was told."""
        async with asyncio.timeout(PATIENCE_S), self._told:
            await self._told.wait_for(lambda: bool(fact()))

    async def until_beats(self, number: int) -> None:
        """Waits for that many more heartbeats."""
        already = len(self.heartbeats)
        await self.until(lambda: len(self.heartbeats) >= already + number)

    def send(self, response: pb.SessionResponse) -> None:
        """Sends down the stream."""
        self._down.put_nowait(response)

    def end_stream(self) -> None:
        """Ends the stream, as a replica that stops."""
        self._down.put_nowait(None)


@asynccontextmanager
async def serving(facade: FakeFacade, port: int = 0) -> AsyncIterator[None]:
    """The facade on a loopback port."""
    server = grpc.aio.server()
    add_JobStatusServiceServicer_to_server(facade, server)  # type: ignore[no-untyped-call]
    facade.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


def requested(
    job_id: str,
    payload: bytes = b"{}",
    *,
    item_type: str = ITEM_TYPE,
    job_type: str = JOB_TYPE,
    traceparent: str | None = None,
) -> Requested:
    """The event of a job that was accepted."""
    now = datetime.now(UTC)
    state = JobState(
        tenant_id="the tenant",
        workspace_id="the workspace",
        item_type=item_type,
        item_id="the item",
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


def started(job_id: str) -> bytes:
    """The record of a job that was granted: it dispatches nothing."""
    event = requested(job_id)
    data = EventData(sequence=2, follows=event.id, state=event.data.state)
    return events.encode(
        Started(id="started", source="/test", subject=job_id, time=event.time, data=data)
    )
