"""The session of an executor, with fake facades on loopback ports."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from fabric_jobs.executor import restarts
from fabric_jobs.executor.errors import HelloRefusedError
from fabric_jobs.executor.restarts import run_with_restarts
from fabric_jobs.executor.session import session as session_module
from fabric_jobs.executor.session.session import Session, StreamEndedError
from fabric_jobs.executor.session.status_client import Accepted, Refused
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import (
    WAIT_TIMEOUT_S,
    Entry,
    FakeFacade,
    accept,
    answer_nothing,
    refuse,
    serve,
)

HELLO = pb.Hello(executor_id="one", pool="default", slots=3)


class FakeDelegate:
    """Holds one run, and records the calls of the session."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def heartbeat(self) -> pb.Heartbeat:
        """Returns the held run and the free slots."""
        return pb.Heartbeat(runs=[pb.Run(job_id="held", attempt=1)], free_slots=2)

    def cancel(self, job_id: str, attempt: int) -> None:
        """Records the cancel."""
        self.calls.put_nowait(("cancel", job_id))

    def stop(self, job_id: str, attempt: int) -> None:
        """Records the stop."""
        self.calls.put_nowait(("stop", job_id))

    def offer(self, offer: pb.Offer) -> None:
        """Records the offer."""
        self.calls.put_nowait(("offer", offer.job.job_id))


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the wait before a new stream, and the wait for a facade that does not end one."""
    monkeypatch.setattr(restarts, "MAX_BACKOFF_S", 0.2)
    monkeypatch.setattr(session_module, "CLOSE_TIMEOUT_S", 0.5)


@asynccontextmanager
async def connect(
    *addresses: str, delegate: FakeDelegate | None = None, heartbeat_s: float = 60
) -> AsyncIterator[Session]:
    """Connects a session to the facades at these addresses until the block ends."""
    session = Session(HELLO, addresses, heartbeat_s)
    used = delegate or FakeDelegate()
    connection = asyncio.create_task(run_with_restarts("session", lambda: session.connect(used)))
    async with asyncio.timeout(2 * WAIT_TIMEOUT_S):
        try:
            yield session
        finally:
            connection.cancel()
            with suppress(asyncio.CancelledError):
                await connection


@pytest.mark.parametrize("reason", ["INVALID_HELLO", "RUN_TIMEOUT_TOO_LONG"])
async def test_session_whose_hello_is_refused_ends_with_the_facade_s_message(
    facade: FakeFacade, reason: str
) -> None:
    """The session connects to no other facade, because each would refuse the same hello."""
    facade.hello_refusal = reason
    session = Session(HELLO, [facade.address], 60)
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        with pytest.raises(HelloRefusedError, match=r"^The hello is wrong\.$"):
            await run_with_restarts("session", lambda: session.connect(FakeDelegate()))

    assert facade.opened == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
async def test_session_without_a_facade_at_its_address_raises_what_to_do(host: str) -> None:
    """The error names the address and the setting to change, also if the host name is unknown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
    session = Session(HELLO, [address], 60)
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        with pytest.raises(StreamEndedError) as raised:
            await session.connect(FakeDelegate())

    assert str(raised.value).startswith(f"facade {address}: UNAVAILABLE ")
    assert str(raised.value).endswith(". Start a facade there, or set FABRIC_JOBS_FACADES.")


async def test_session_that_a_facade_refuses_for_now_raises_only_what_the_facade_says(
    facade: FakeFacade,
) -> None:
    """The advice to start a facade is for an address where none listens."""
    facade.hello_refusal = "STOPPING"
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        with pytest.raises(StreamEndedError, match=r"The hello is wrong\.$"):
            await Session(HELLO, [facade.address], 60).connect(FakeDelegate())


async def test_session_sends_hello_and_a_heartbeat_in_its_first_message(facade: FakeFacade) -> None:
    """The facade knows the executor and its runs before any claim."""
    async with connect(facade.address):
        await facade.wait_until(lambda: facade.requests)

    assert facade.requests[0] == pb.SessionRequest(
        hello=HELLO, heartbeat=FakeDelegate().heartbeat()
    )


async def test_entry_when_decided_returns_the_record_or_the_reason(facade: FakeFacade) -> None:
    """An accepted entry has a record, and a refused one a reason."""
    async with connect(facade.address) as session:
        granted = await session.claim(pb.Claim(job_id="a", attempt=1))
        facade.script = refuse(pb.REFUSAL_REASON_SUPERSEDED)
        refused = await session.report(pb.Report(job_id="a", completed=pb.Completed()))

    assert isinstance(granted, Accepted)
    assert granted.record.event_id == "accepted-1"
    assert isinstance(refused, Refused)
    assert str(refused).startswith("REFUSAL_REASON_SUPERSEDED")


async def test_entries_that_wait_together_are_sent_in_one_message(facade: FakeFacade) -> None:
    """A hundred claims need one message, not a hundred."""
    async with connect(facade.address) as session:
        await session.connected.wait()
        claims = [pb.Claim(job_id=str(number), attempt=1) for number in range(100)]
        await asyncio.gather(*map(session.claim, claims))

    assert [len(request.claims) for request in facade.requests if request.claims] == [100]


async def test_entries_larger_than_a_message_are_sent_in_several_messages(
    facade: FakeFacade,
) -> None:
    """No message exceeds the facade's limit of 2 MiB."""
    error = pb.Error(error_code="E", message="x" * 100_000)
    async with connect(facade.address) as session:
        await session.connected.wait()
        reports = (session.report(pb.Report(job_id=str(n), failed=error)) for n in range(100))
        await asyncio.gather(*reports)

    assert len(facade.reports) == 100
    assert max(request.ByteSize() for request in facade.requests) < 2 * 1024 * 1024


async def test_entries_unanswered_at_the_end_of_a_stream_are_sent_again_on_the_next(
    facade: FakeFacade,
) -> None:
    """They keep their entry ids and their order. Answered entries are not sent again."""
    async with connect(facade.address) as session:
        await session.claim(pb.Claim(job_id="answered", attempt=1))
        facade.script = answer_nothing
        claims = [pb.Claim(job_id=job_id, attempt=1) for job_id in "abc"]
        answers = asyncio.gather(*(session.claim(claim) for claim in claims))
        await facade.wait_until(lambda: len(facade.claims) == 4)
        facade.script = accept
        facade.end_stream()
        await answers

    first, second = facade.claims[1:4], facade.claims[4:]
    assert [claim.job_id for claim in second] == ["a", "b", "c"]
    assert second == first
    assert facade.requests[-1].hello == HELLO


async def test_session_with_an_entry_that_stays_unanswered_moves_to_the_next_facade(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It closes the stream in order, and sends only the unanswered entry to the next facade."""
    monkeypatch.setattr(session_module, "ANSWER_TIMEOUT_S", 0.5)
    other = FakeFacade()
    facade.script = lambda entry: None if entry.job_id == "b" else accept(entry)
    async with serve(other), connect(facade.address, other.address) as session:
        claims = [pb.Claim(job_id=job_id, attempt=1) for job_id in "abc"]
        await asyncio.gather(*(session.claim(claim) for claim in claims))

    assert [claim.job_id for claim in other.claims] == ["b"]
    assert (facade.half_closed, facade.cancelled) == (1, 0)
    assert f"session: facade {facade.address}: no answer" in caplog.text


async def test_session_with_a_facade_that_does_not_read_moves_to_the_next_facade(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream then accepts no message, not even a heartbeat."""
    monkeypatch.setattr(session_module, "ANSWER_TIMEOUT_S", 0.5)
    other = FakeFacade()
    error = pb.Error(error_code="E", message="x" * 1_000_000)
    async with serve(other), connect(facade.address, other.address) as session:
        await session.connected.wait()
        facade.may_read.clear()
        reports = (session.report(pb.Report(job_id=str(n), failed=error)) for n in range(10))
        await asyncio.gather(*reports)

    assert {report.job_id for report in other.reports} == {str(n) for n in range(10)}


async def test_session_without_unanswered_entries_keeps_its_stream(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit applies to answers, not to an idle stream."""
    monkeypatch.setattr(session_module, "ANSWER_TIMEOUT_S", 0.05)
    async with connect(facade.address, heartbeat_s=0.05):
        await facade.wait_for_heartbeats(5)

    assert facade.opened == 1


async def test_session_with_a_facade_that_answers_no_heartbeats_moves_to_the_next_facade(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no entry waits: a facade that stands still shares no heartbeats with the others."""
    monkeypatch.setattr(session_module, "MIN_SILENCE_S", 0.1)
    other = FakeFacade()
    facade.answers_heartbeats = False
    async with (
        serve(other),
        connect(facade.address, other.address, heartbeat_s=0.1),
    ):
        await other.wait_for_heartbeats(5)

    assert (facade.opened, other.opened) == (1, 1)


async def test_entry_answered_as_undecided_is_sent_again_under_its_entry_id(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """It is repeated until an answer decides it. The log has the first reason."""
    answers = [
        pb.Answer(undecided=pb.Undecided(message="reading", reason="LOG_UNREACHABLE")),
        pb.Answer(undecided=pb.Undecided(message="reading")),
        pb.Answer(),  # a result that this version does not know
        pb.Answer(accepted=pb.Record()),
    ]

    def script(entry: Entry) -> pb.Answer:
        answer = answers.pop(0)
        answer.entry_id = entry.entry_id
        return answer

    facade.script = script
    async with connect(facade.address) as session:
        assert isinstance(await session.claim(pb.Claim(job_id="a", attempt=1)), Accepted)

    assert [claim.entry_id for claim in facade.claims] == [1, 1, 1, 1]
    assert [record.getMessage() for record in caplog.records if "undecided" in record.msg] == [
        "the claim of job a, attempt 1, is undecided and will be sent again: "
        "LOG_UNREACHABLE reading"
    ]


async def test_entry_whose_caller_is_cancelled_is_withdrawn(facade: FakeFacade) -> None:
    """It is not sent on the next stream, and its late answer is ignored."""
    facade.script = answer_nothing
    async with connect(facade.address) as session:
        task = asyncio.create_task(session.claim(pb.Claim(job_id="a", attempt=1)))
        await facade.wait_until(lambda: facade.claims)
        task.cancel()
        await asyncio.wait({task})
        facade.send(pb.SessionResponse(answers=[accept(facade.claims[0])]))
        facade.end_stream()
        await facade.wait_until(lambda: facade.opened == 2 and facade.requests[-1].hello.pool)

    assert len(facade.claims) == 1


async def test_session_with_an_unreachable_facade_connects_to_the_next_facade(
    facade: FakeFacade,
) -> None:
    """The claim is answered there."""
    async with connect("127.0.0.1:1", facade.address) as session:
        await session.claim(pb.Claim(job_id="a", attempt=1))

    assert facade.opened == 1


async def test_session_whose_stream_is_ended_by_the_facade_connects_to_the_next_facade(
    facade: FakeFacade,
) -> None:
    """A facade ends its streams when it stops, for example in a rolling update."""
    other = FakeFacade()
    async with serve(other), connect(facade.address, other.address):
        await facade.wait_until(lambda: facade.requests)
        facade.end_stream()
        await other.wait_until(lambda: other.requests)


async def test_session_sends_heartbeats_at_its_interval(facade: FakeFacade) -> None:
    """Each heartbeat has the runs that are held at that time."""
    async with connect(facade.address, heartbeat_s=0.05):
        await facade.wait_until(lambda: len(facade.heartbeats) >= 3)

    assert facade.heartbeats[-1] == FakeDelegate().heartbeat()


async def test_session_passes_cancels_stops_and_offers_to_its_delegate(facade: FakeFacade) -> None:
    """One message may carry all three."""
    delegate = FakeDelegate()
    async with connect(facade.address, delegate=delegate):
        await facade.wait_until(lambda: facade.requests)
        facade.send(
            pb.SessionResponse(
                cancels=[pb.Run(job_id="a")],
                stops=[pb.Run(job_id="b")],
                offers=[pb.Offer(job=pb.Job(job_id="c"))],
            )
        )
        calls = [await delegate.calls.get() for _ in range(3)]

    assert calls == [("cancel", "a"), ("stop", "b"), ("offer", "c")]


async def test_session_at_its_end_half_closes_and_lets_the_server_end_the_stream(
    facade: FakeFacade,
) -> None:
    """The client does not cancel the stream, because grpc.aio leaks a cancelled stream."""
    async with connect(facade.address):
        await facade.wait_until(lambda: facade.requests)

    assert (facade.half_closed, facade.cancelled) == (1, 0)


@pytest.mark.parametrize("reason", [pb.REFUSAL_REASON_PAUSED, pb.REFUSAL_REASON_SEALED])
async def test_claim_that_was_sent_before_survives_a_pause_until_its_grant_can_be_read(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, reason: pb.RefusalReason
) -> None:
    """The first facade was appending the grant when its stream ended. The second sees the pause,
    or lacks the key."""
    monkeypatch.setattr(session_module, "LATE_GRANT_INTERVAL_S", 0.01)
    facade.script = answer_nothing
    async with connect(facade.address) as session:
        claiming = asyncio.create_task(session.claim(pb.Claim(job_id="a", attempt=1)))
        await facade.wait_until(lambda: facade.claims)
        facade.script = refuse(reason)
        facade.end_stream()
        await facade.wait_until(lambda: len(facade.claims) > 2)
        assert not claiming.done()
        facade.script = accept
        assert isinstance(await claiming, Accepted)
        assert session._outbox.uncertain == set()


@pytest.mark.parametrize("is_repeated", [False, True])
async def test_claim_of_a_paused_type_is_refused_at_once_unless_it_was_sent_before(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, is_repeated: bool
) -> None:
    """A claim that was sent before is refused once its grant can no longer be expected."""
    monkeypatch.setattr(session_module, "LATE_GRANT_S", 1.0 if is_repeated else 60.0)
    monkeypatch.setattr(session_module, "LATE_GRANT_INTERVAL_S", 0.01)
    paused = refuse(pb.REFUSAL_REASON_PAUSED)
    facade.script = answer_nothing if is_repeated else paused
    async with connect(facade.address) as session:
        claiming = asyncio.create_task(session.claim(pb.Claim(job_id="a", attempt=1)))
        await facade.wait_until(lambda: facade.claims)
        if is_repeated:
            facade.script = paused
            facade.end_stream()
        assert isinstance(await claiming, Refused)
    assert (len(facade.claims) > 2) is is_repeated
