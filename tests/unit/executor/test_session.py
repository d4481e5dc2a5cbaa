"""The stream to a scripted facade on a loopback port."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from fabric_jobs.executor import session as session_module
from fabric_jobs.executor import supervision
from fabric_jobs.executor.session import Accepted, Refused, Session
from fabric_jobs.executor.supervision import supervise
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import PATIENCE_S, Entry, FakeFacade, accept, refuse, serving, silent

HELLO = pb.Hello(executor_id="one", pool="default", slots=3)


class RunHolder:
    """Keeps what the stream says to it."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def heartbeat(self) -> pb.Heartbeat:
        """What it holds."""
        return pb.Heartbeat(runs=[pb.Run(job_id="held", attempt=1)], free_slots=2)

    def cancel(self, job_id: str, attempt: int) -> None:
        """Keeps it."""
        self.heard.put_nowait(("cancel", job_id))

    def stop(self, job_id: str, attempt: int) -> None:
        """Keeps it."""
        self.heard.put_nowait(("stop", job_id))

    def offer(self, offer: pb.Offer) -> None:
        """Keeps it."""
        self.heard.put_nowait(("offer", offer.job.job_id))


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "MAX_BACKOFF_S", 0.2)


@asynccontextmanager
async def connecting(
    *addresses: str, holder: RunHolder | None = None, heartbeat_s: float = 60
) -> AsyncIterator[Session]:
    """A session that is kept up, and ended in order."""
    session = Session(HELLO, addresses, heartbeat_s)
    told = holder or RunHolder()
    keeping = asyncio.create_task(supervise("session", lambda: session.connect(told)))
    async with asyncio.timeout(2 * PATIENCE_S):
        try:
            yield session
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


def numbered() -> Iterator[pb.Claim]:
    """Claims of jobs 0, 1, 2, ..."""
    number = 0
    while True:
        yield pb.Claim(job_id=str(number), attempt=1)
        number += 1


async def test_the_first_message_says_who_connects_and_what_it_holds(facade: FakeFacade) -> None:
    """Hello and a heartbeat, before any claim."""
    async with connecting(facade.address):
        await facade.until(lambda: facade.requests)

    assert facade.requests[0] == pb.SessionRequest(hello=HELLO, heartbeat=RunHolder().heartbeat())


async def test_an_entry_is_answered_with_the_record_or_the_reason(facade: FakeFacade) -> None:
    """Accepted, or refused for good."""
    async with connecting(facade.address) as session:
        granted = await session.claim(pb.Claim(job_id="a", attempt=1))
        facade.script = refuse(pb.REFUSAL_REASON_SUPERSEDED)
        refused = await session.report(pb.Report(job_id="a", completed=pb.Completed()))

    assert isinstance(granted, Accepted)
    assert granted.record.event_id == "accepted-1"
    assert isinstance(refused, Refused)
    assert str(refused).startswith("REFUSAL_REASON_SUPERSEDED")


async def test_all_that_waits_goes_in_one_message(facade: FakeFacade) -> None:
    """A hundred claims cost no hundred messages."""
    async with connecting(facade.address) as session:
        await session.connected.wait()
        claims = zip(range(100), numbered(), strict=False)
        await asyncio.gather(*(session.claim(claim) for _, claim in claims))

    assert [len(request.claims) for request in facade.requests if request.claims] == [100]


async def test_a_message_stays_within_what_grpc_takes(facade: FakeFacade) -> None:
    """A hundred large errors go in several."""
    error = pb.Error(error_code="E", message="x" * 100_000)
    async with connecting(facade.address) as session:
        await session.connected.wait()
        reports = (session.report(pb.Report(job_id=str(n), failed=error)) for n in range(100))
        await asyncio.gather(*reports)

    assert len(facade.reports) == 100
    assert max(request.ByteSize() for request in facade.requests) < 2 * 1024 * 1024


async def test_unanswered_entries_are_sent_again_on_the_next_stream(facade: FakeFacade) -> None:
    """With the same entry ids, in their order; answered ones are not."""
    async with connecting(facade.address) as session:
        await session.claim(pb.Claim(job_id="answered", attempt=1))
        facade.script = silent
        claims = [pb.Claim(job_id=job_id, attempt=1) for job_id in "abc"]
        asking = asyncio.gather(*(session.claim(claim) for claim in claims))
        await facade.until(lambda: len(facade.claims) == 4)
        facade.script = accept
        facade.end_stream()
        await asking

    first, second = facade.claims[1:4], facade.claims[4:]
    assert [claim.job_id for claim in second] == ["a", "b", "c"]
    assert second == first
    assert facade.requests[-1].hello == HELLO


async def test_a_facade_that_leaves_an_entry_unanswered_is_left(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In order, and the next one is asked; what was answered before is not asked again."""
    monkeypatch.setattr(session_module, "ANSWER_S", 1)
    other = FakeFacade()
    facade.script = lambda entry: None if entry.job_id == "b" else accept(entry)
    async with serving(other), connecting(facade.address, other.address) as session:
        claims = [pb.Claim(job_id=job_id, attempt=1) for job_id in "abc"]
        await asyncio.gather(*(session.claim(claim) for claim in claims))

    assert [claim.job_id for claim in other.claims] == ["b"]
    assert (facade.half_closed, facade.cancelled) == (1, 0)
    assert f"session: facade {facade.address}: no answer" in caplog.text


async def test_so_is_a_facade_that_reads_no_more(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the stream takes nothing any more, not even a heartbeat."""
    monkeypatch.setattr(session_module, "ANSWER_S", 1)
    other = FakeFacade()
    error = pb.Error(error_code="E", message="x" * 1_000_000)
    async with serving(other), connecting(facade.address, other.address) as session:
        await session.connected.wait()
        facade.reads.clear()
        reports = (session.report(pb.Report(job_id=str(n), failed=error)) for n in range(10))
        await asyncio.gather(*reports)

    assert {report.job_id for report in other.reports} == {str(n) for n in range(10)}


async def test_a_stream_that_waits_for_no_answer_is_kept(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long nothing is asked on it."""
    monkeypatch.setattr(session_module, "ANSWER_S", 0.05)
    async with connecting(facade.address, heartbeat_s=0.05):
        await facade.until_beats(5)

    assert facade.streams == 1


async def test_undecided_is_asked_again_with_the_same_entry_id(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """Until somebody decides; the log has the first reason."""
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
    async with connecting(facade.address) as session:
        assert isinstance(await session.claim(pb.Claim(job_id="a", attempt=1)), Accepted)

    assert [claim.entry_id for claim in facade.claims] == [1, 1, 1, 1]
    assert [record.getMessage() for record in caplog.records if "undecided" in record.msg] == [
        "the claim of job a, attempt 1, is undecided and will be sent again: "
        "LOG_UNREACHABLE reading"
    ]


async def test_an_entry_that_nobody_waits_for_is_withdrawn(facade: FakeFacade) -> None:
    """It is not sent on the next stream, and its late answer is no error."""
    facade.script = silent
    async with connecting(facade.address) as session:
        asking = asyncio.create_task(session.claim(pb.Claim(job_id="a", attempt=1)))
        await facade.until(lambda: facade.claims)
        asking.cancel()
        await asyncio.wait({asking})
        facade.send(pb.SessionResponse(answers=[accept(facade.claims[0])]))
        facade.end_stream()
        await facade.until(lambda: facade.streams == 2 and facade.requests[-1].hello.pool)

    assert len(facade.claims) == 1


async def test_a_facade_that_is_away_is_passed_over(facade: FakeFacade) -> None:
    """The next one is tried."""
    async with connecting("127.0.0.1:1", facade.address) as session:
        await session.claim(pb.Claim(job_id="a", attempt=1))

    assert facade.streams == 1


async def test_a_replica_that_ends_the_stream_is_left_for_the_next(facade: FakeFacade) -> None:
    """As at a roll-out."""
    other = FakeFacade()
    async with serving(other), connecting(facade.address, other.address):
        await facade.until(lambda: facade.requests)
        facade.end_stream()
        await other.until(lambda: other.requests)


async def test_heartbeats_are_sent_without_being_asked(facade: FakeFacade) -> None:
    """One each `heartbeat_s`, with what is held at that time."""
    async with connecting(facade.address, heartbeat_s=0.05):
        await facade.until(lambda: len(facade.heartbeats) >= 3)

    assert facade.heartbeats[-1] == RunHolder().heartbeat()


async def test_what_comes_down_reaches_the_holder(facade: FakeFacade) -> None:
    """Cancels, stops and offers."""
    holder = RunHolder()
    async with connecting(facade.address, holder=holder):
        await facade.until(lambda: facade.requests)
        facade.send(
            pb.SessionResponse(
                cancels=[pb.Run(job_id="a")],
                stops=[pb.Run(job_id="b")],
                offers=[pb.Offer(job=pb.Job(job_id="c"))],
            )
        )
        heard = [await holder.heard.get() for _ in range(3)]

    assert heard == [("cancel", "a"), ("stop", "b"), ("offer", "c")]


async def test_at_its_end_the_client_half_closes_and_the_server_ends_the_stream(
    facade: FakeFacade,
) -> None:
    """A stream that the client cancels leaks in grpc.aio."""
    async with connecting(facade.address):
        await facade.until(lambda: facade.requests)

    assert (facade.half_closed, facade.cancelled) == (1, 0)
