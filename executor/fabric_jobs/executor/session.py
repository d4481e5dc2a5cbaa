"""The stream to a facade: claims, reports and heartbeats up; answers, cancels, stops, offers down.

Rule 1: there is one stream at a time, to one of the facades in turn; its loss stops no run.
Rule 2: an entry lives until it is answered, whichever streams that takes, under one entry id.
Rule 3: what waits goes in one message; what comes to wait while it is written goes in the next.
Rule 4: a stream on which an entry stays unanswered is given up, and the next one carries it again.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import cycle
from typing import Protocol

import grpc
from msgspec import Struct
from tenacity import retry, retry_if_exception_type, wait_random_exponential

from fabric_jobs.executor import metrics
from fabric_jobs.executor.outbox import Outbox
from fabric_jobs.runtime.channels import connection_advice, open_channel
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub

log = logging.getLogger("fabric_jobs.executor")

CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A message of offers carries their payloads; the service bounds it, not the client.
    ("grpc.max_receive_message_length", -1),
    # Our own backoff decides when to connect, not one that channels share.
    ("grpc.use_local_subchannel_pool", 1),
)
CONNECT_S = 5.0
#: Seconds that a facade may take to answer; it decides, or says that it can't, in far less.
ANSWER_S = 30.0
#: Seconds that the server may take to end a stream after we have ended our side.
CLOSE_S = 2.0

Stream = grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]


class Accepted(Struct, frozen=True):
    """The claim is granted, or the report applied; the record says so on the topic."""

    record: pb.Record


class Refused(Struct, frozen=True):
    """Decided against, for good."""

    reason: pb.RefusalReason
    message: str

    def __str__(self) -> str:
        return f"{pb.RefusalReason.Name(self.reason)} {self.message}"


class Decider(Protocol):
    """Who decides about the claims and reports of runs."""

    async def claim(self, claim: pb.Claim) -> Accepted | Refused:
        """Asks for an attempt until that is decided."""

    async def report(self, report: pb.Report) -> Accepted | Refused:
        """Says what became of a run until that is decided."""


class RunHolder(Protocol):
    """Who holds the runs that the stream speaks of."""

    def heartbeat(self) -> pb.Heartbeat:
        """What it holds now."""

    def cancel(self, job_id: str, attempt: int) -> None:
        """The job was asked to stop."""

    def stop(self, job_id: str, attempt: int) -> None:
        """The run is no longer ours."""

    def offer(self, offer: pb.Offer) -> None:
        """The attempt waits for an executor."""


class StreamEndedError(Exception):
    """The facade ended the stream, or it can't be reached: connect again."""


class _UndecidedError(Exception):
    """No replica's fault, and no decision: ask again after a moment."""


class Session:
    """One executor process's connection to the facades."""

    def __init__(
        self,
        hello: pb.Hello,
        facades: Iterable[str],
        heartbeat_s: float,
        tls: PemFiles | None = None,
    ) -> None:
        self._hello = hello
        self._facades = cycle(facades)
        self._heartbeat_s = heartbeat_s
        self._tls = tls
        self._outbox = Outbox()
        #: Set while a stream is open.
        self.connected = asyncio.Event()

    async def claim(self, claim: pb.Claim) -> Accepted | Refused:
        """Asks for an attempt until that is decided."""
        return await self._ask(claim)

    async def report(self, report: pb.Report) -> Accepted | Refused:
        """Says what became of a run until that is decided."""
        return await self._ask(report)

    async def connect(self, holder: RunHolder) -> None:
        """Keeps a stream to the next facade until it ends. Raises `StreamEndedError`.

        Cancelling it ends our side, lets the server end the stream, and then returns.
        """
        address = next(self._facades)
        async with open_channel(address, self._tls, CHANNEL_OPTIONS) as channel:
            stream: Stream = JobStatusServiceStub(channel).Session()  # type: ignore[no-untyped-call] # generated
            try:
                async with asyncio.timeout(CONNECT_S):
                    await stream.wait_for_connection()
                log.info("session: connected to facade %s", address)
                metrics.CONNECTED.set(1)
                await self._converse(stream, holder)
            except grpc.aio.AioRpcError as error:
                details = error.details() or ""
                told = (
                    f"facade {address}: {error.code().name} {details} {connection_advice(details)}"
                )
                raise StreamEndedError(told.rstrip()) from error
            except TimeoutError as error:
                raise StreamEndedError(f"facade {address}: no answer") from error
        raise StreamEndedError(f"facade {address} ended the stream")

    async def _ask(self, entry: pb.Claim | pb.Report) -> Accepted | Refused:
        answer = await self._outbox.ask(entry)
        if answer.WhichOneof("result") not in ("accepted", "refused"):
            name, undecided = entry.DESCRIPTOR.name.lower(), answer.undecided
            log.warning(
                "the %s of job %s, attempt %d, is undecided and will be sent again: %s %s",
                *(name, entry.job_id, entry.attempt, undecided.reason, undecided.message),
            )
            answer = await self._ask_again(entry, [answer])
        if answer.HasField("accepted"):
            return Accepted(answer.accepted)
        return Refused(answer.refused.reason, answer.refused.message)

    # Apart from the first time, since a retrying call costs more than all the rest of it.
    @retry(
        retry=retry_if_exception_type(_UndecidedError),
        wait=wait_random_exponential(multiplier=0.1, max=5),
    )
    async def _ask_again(self, entry: pb.Claim | pb.Report, known: list[pb.Answer]) -> pb.Answer:
        """The decision, asked for after a moment; `known` holds the answer that was none."""
        answer = known.pop() if known else await self._outbox.ask(entry)
        if answer.WhichOneof("result") not in ("accepted", "refused"):
            raise _UndecidedError(answer.undecided.message)
        return answer

    async def _converse(self, stream: Stream, holder: RunHolder) -> None:
        closing = asyncio.Event()
        self._outbox.reopen()
        writer = asyncio.create_task(self._write(stream, holder, closing), name="session up")
        reader = asyncio.create_task(self._read(stream, holder), name="session down")
        waiting = asyncio.create_task(self._expect_answers(), name="session answers")
        try:
            await asyncio.wait({reader, writer, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            self.connected.clear()
            metrics.CONNECTED.set(0)
            closing.set()
            self._outbox.filled.set()
            # A stream that the client cancels leaks in gRPC, so the server is given time to end it.
            await asyncio.wait({reader, writer}, timeout=CLOSE_S)
            stream.cancel()
            ends = await asyncio.gather(reader, writer, waiting, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _expect_answers(self) -> None:
        while True:
            left_s = ANSWER_S - self._outbox.waited_s()
            if left_s <= 0:
                raise TimeoutError
            await asyncio.sleep(left_s)

    async def _write(self, stream: Stream, holder: RunHolder, closing: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        request = self._outbox.take()
        request.hello.CopyFrom(self._hello)
        beat_time = clock()
        with suppress(asyncio.InvalidStateError):  # the stream is over; the reader knows why
            while not closing.is_set():
                if clock() >= beat_time:
                    request.heartbeat.CopyFrom(holder.heartbeat())
                    beat_time = clock() + self._heartbeat_s
                await stream.write(request)
                self.connected.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(beat_time):
                        await self._outbox.filled.wait()
                request = self._outbox.take()
            await stream.done_writing()

    async def _read(self, stream: Stream, holder: RunHolder) -> None:
        while (response := await stream.read()) is not grpc.aio.EOF:
            assert isinstance(response, pb.SessionResponse)
            for answer in response.answers:
                self._outbox.answer(answer)
            for run in response.cancels:
                holder.cancel(run.job_id, run.attempt)
            for run in response.stops:
                holder.stop(run.job_id, run.attempt)
            for offer in response.offers:
                holder.offer(offer)
