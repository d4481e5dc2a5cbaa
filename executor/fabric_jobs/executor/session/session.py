"""The stream to a facade.

The executor sends claims, reports and heartbeats. The facade sends answers, cancels, stops and
offers.

Rule 1: there is one stream at a time, to one facade. When it ends, the next facade gets a new
stream. No run stops because of it.
Rule 2: an entry is repeated under the same entry id, on as many streams as needed, until it is
answered.
Rule 3: one message carries all the entries that wait. Entries that arrive while it is written go
into the next message.
Rule 4: a stream on which an entry or heartbeats stay unanswered for too long is closed. A facade
that does not answer heartbeats does not share them either, so the leases of all runs would end.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import cycle
from typing import Protocol

import grpc
from tenacity import retry, retry_if_result, wait_random_exponential

from fabric_jobs.executor import metrics
from fabric_jobs.executor.errors import HelloRefusedError
from fabric_jobs.executor.session.outbox import Outbox
from fabric_jobs.executor.session.status_client import Accepted, Refused
from fabric_jobs.executor.session.token_calls import TokenCalls
from fabric_jobs.runtime.channels import connection_advice, error_reason, open_channel
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub

log = logging.getLogger("fabric_jobs.executor")

CHANNEL_OPTIONS = (
    # The facade bounds the size of a message, which carries the payloads of offers.
    ("grpc.max_receive_message_length", -1),
    # A channel of its own has its own backoff; gRPC would share the backoff between channels.
    ("grpc.use_local_subchannel_pool", 1),
)
CONNECT_TIMEOUT_S = 5.0
#: Seconds that a facade may take to answer an entry. It answers "undecided" much earlier than that.
ANSWER_TIMEOUT_S = 15.0
#: Heartbeats in a row that a facade may leave unanswered, and the least time for that in seconds.
MAX_UNANSWERED_HEARTBEATS = 3
MIN_SILENCE_S = 2.0
#: Seconds after a claim within which the grant of an earlier facade may still come, and seconds
#: between two looks for it.
LATE_GRANT_S = 10.0
LATE_GRANT_INTERVAL_S = 0.5
#: Seconds that the server may take to end a stream after the client has closed its direction.
CLOSE_TIMEOUT_S = 2.0
#: The reasons with which a facade refuses the first message of a stream.
_HELLO_REFUSALS = ("INVALID_HELLO", "RUN_TIMEOUT_TOO_LONG")

#: What gRPC's error says if no program listens at an address, or if a host name is unknown.
_UNREACHABLE = ("failed to connect to all addresses", "errors resolving")

Stream = grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]


def _unreachable_advice(details: str) -> str:
    if not any(phrase in details for phrase in _UNREACHABLE):
        return ""
    return "Start a facade there, or set FABRIC_JOBS_FACADES."


class SessionDelegate(Protocol):
    """Supplies the heartbeats of a session, and handles what facades send on it."""

    def heartbeat(self) -> pb.Heartbeat:
        """Returns the runs that are held, the claims that are awaited, and the free slots."""

    def cancel(self, job_id: str, attempt: int) -> None:
        """Handles a cancel: somebody asked for the job of this attempt to stop."""

    def stop(self, job_id: str, attempt: int) -> None:
        """Handles a stop: the run no longer counts, so it ends without a report."""

    def offer(self, offer: pb.Offer) -> None:
        """Handles an offer of an attempt, which the delegate may claim."""


class StreamEndedError(Exception):
    """The facade ended the stream, or can't be reached. The next facade may be available."""


def _is_undecided(answer: pb.Answer) -> bool:
    """Returns true if the entry must be sent again, also for a result of a later version."""
    return answer.WhichOneof("result") not in ("accepted", "refused")


class Session:
    """The connection of an executor to the facades. It is the `StatusClient` of its runs."""

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
        self._max_silence_s = max(MAX_UNANSWERED_HEARTBEATS * heartbeat_s, MIN_SILENCE_S)
        #: The loop's time at which the next heartbeat is due.
        self._beat_time = 0.0
        #: The loop's time at which the facade last sent a response.
        self._response_at = 0.0
        self._tls = tls
        self._outbox = Outbox()
        self._token_calls = TokenCalls()
        #: Set while a stream is open.
        self.connected = asyncio.Event()

    async def claim(self, claim: pb.Claim) -> Accepted | Refused:
        """Sends a claim, again if necessary, until a facade has granted or refused it.

        An earlier facade may be appending the grant of a claim that was sent before, while its job
        type is paused, or while this facade can't open the job. So such a refusal counts for it
        only if the grant does not come within `LATE_GRANT_S`.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + LATE_GRANT_S
        try:
            while True:
                answer = await self._ask(claim)
                is_put_off = isinstance(answer, Refused) and answer.reason in (
                    pb.REFUSAL_REASON_PAUSED,
                    pb.REFUSAL_REASON_SEALED,
                )
                is_uncertain = claim.entry_id in self._outbox.uncertain
                if not (is_put_off and is_uncertain and clock() < deadline):
                    return answer
                await asyncio.sleep(LATE_GRANT_INTERVAL_S)
        finally:
            self._outbox.uncertain.discard(claim.entry_id)

    async def report(self, report: pb.Report) -> Accepted | Refused:
        """Sends a report, again if necessary, until a facade has applied or refused it."""
        return await self._ask(report)

    def beat(self) -> None:
        """Sends a heartbeat at once. Without a stream, the next stream begins with one anyway."""
        self._beat_time = 0.0
        self._outbox.has_entries.set()

    async def access_token(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Gets an access token, again if necessary, until a facade has given or refused it.

        Raises `AccessTokenError`.
        """
        request.executor_id = self._hello.executor_id
        return await self._token_calls.call(request)

    async def connect(self, delegate: SessionDelegate) -> None:
        """Opens a stream to the next facade, and uses it until it ends.

        Always raises: `StreamEndedError` when the stream has ended, and `HelloRefusedError` if the
        facade refuses the hello, which every facade would. To cancel this call closes the
        stream in order: the client half-closes, and the server ends the stream.
        """
        address = next(self._facades)
        async with open_channel(address, self._tls, CHANNEL_OPTIONS) as channel:
            stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call] # generated
            stream: Stream = stub.Session()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await stream.wait_for_connection()
                log.info("session: connected to facade %s", address)
                metrics.CONNECTED.set(1)
                with self._token_calls.use(stub):
                    await self._use_stream(stream, delegate)
            except grpc.aio.AioRpcError as error:
                details = error.details() or ""
                if error_reason(error) in _HELLO_REFUSALS:
                    raise HelloRefusedError(details) from error
                advice = connection_advice(details) or _unreachable_advice(details)
                text = f"facade {address}: {error.code().name} {details}"
                raise StreamEndedError(f"{text}. {advice}" if advice else text) from error
            except TimeoutError as error:
                raise StreamEndedError(f"facade {address}: no answer") from error
        raise StreamEndedError(f"facade {address} ended the stream")

    async def _ask(self, entry: pb.Claim | pb.Report) -> Accepted | Refused:
        answer = await self._outbox.ask(entry)
        if _is_undecided(answer):
            name, undecided = entry.DESCRIPTOR.name.lower(), answer.undecided
            log.warning(
                "the %s of job %s, attempt %d, is undecided and will be sent again: %s %s",
                *(name, entry.job_id, entry.attempt, undecided.reason, undecided.message),
            )
            if isinstance(entry, pb.Claim):
                self._outbox.uncertain.add(entry.entry_id)
            answer = await self._ask_again(entry, [answer])
        if answer.HasField("accepted"):
            content = answer.dispatch if answer.HasField("dispatch") else None
            return Accepted(answer.accepted, content)
        return Refused(answer.refused.reason, answer.refused.message)

    # `_ask` sends an entry for the first time, because each call through `retry` is expensive.
    @retry(
        retry=retry_if_result(_is_undecided),
        wait=wait_random_exponential(multiplier=0.1, max=5),
    )
    async def _ask_again(self, entry: pb.Claim | pb.Report, known: list[pb.Answer]) -> pb.Answer:
        """Sends an undecided entry again, after a random wait, until its answer is a decision.

        `known` holds the undecided answer. It takes the place of the first answer here, so that
        the call begins with a wait.
        """
        return known.pop() if known else await self._outbox.ask(entry)

    async def _use_stream(self, stream: Stream, delegate: SessionDelegate) -> None:
        closing = asyncio.Event()
        self._outbox.resend_all()
        self._response_at = asyncio.get_running_loop().time()
        writer = asyncio.create_task(self._write(stream, delegate, closing), name="session writer")
        reader = asyncio.create_task(self._read(stream, delegate), name="session reader")
        timeout = asyncio.create_task(self._await_answer_timeout(), name="session timeout")
        try:
            await asyncio.wait({reader, writer, timeout}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timeout.cancel()
            self.connected.clear()
            metrics.CONNECTED.set(0)
            closing.set()
            self._outbox.has_entries.set()
            # The server gets time to end the stream: gRPC leaks a stream that the client cancels.
            await asyncio.wait({reader, writer}, timeout=CLOSE_TIMEOUT_S)
            stream.cancel()
            results = await asyncio.gather(reader, writer, timeout, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _await_answer_timeout(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            silence_s = clock() - self._response_at
            left_s = min(
                ANSWER_TIMEOUT_S - self._outbox.longest_wait_s(), self._max_silence_s - silence_s
            )
            if left_s <= 0:
                raise TimeoutError
            await asyncio.sleep(left_s)

    async def _write(
        self, stream: Stream, delegate: SessionDelegate, closing: asyncio.Event
    ) -> None:
        clock = asyncio.get_running_loop().time
        request = self._outbox.next_message()
        request.hello.CopyFrom(self._hello)
        self._beat_time = clock()
        with suppress(asyncio.InvalidStateError):  # the stream has ended; the reader raises why
            while not closing.is_set():
                if clock() >= self._beat_time:
                    request.heartbeat.CopyFrom(delegate.heartbeat())
                    self._beat_time = clock() + self._heartbeat_s
                await stream.write(request)
                self.connected.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._beat_time):
                        await self._outbox.has_entries.wait()
                request = self._outbox.next_message()
            await stream.done_writing()

    async def _read(self, stream: Stream, delegate: SessionDelegate) -> None:
        while (response := await stream.read()) is not grpc.aio.EOF:
            assert isinstance(response, pb.SessionResponse)
            self._response_at = asyncio.get_running_loop().time()
            for answer in response.answers:
                self._outbox.resolve(answer)
            for run in response.cancels:
                delegate.cancel(run.job_id, run.attempt)
            for run in response.stops:
                delegate.stop(run.job_id, run.attempt)
            for offer in response.offers:
                delegate.offer(offer)
