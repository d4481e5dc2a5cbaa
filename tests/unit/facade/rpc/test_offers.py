"""Offers: which executor is offered a waiting job."""

from typing import Any

import pytest

from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.rpc.offers import OfferLoop
from fabric_jobs.facade.rpc.session import MAX_OPEN_OFFERS, Session
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.store_kit import stored_job


class Waiting:
    """A replica in which these jobs wait, and the sessions of its executors."""

    def __init__(self, jobs: int) -> None:
        self.jobs = [stored_job(number) for number in range(jobs)]
        self.sessions: list[Session] = []

    def connect(self, executor_id: str, slots: int, free_slots: int) -> Session:
        """Connects an executor."""
        anything: Any = self
        kinds = [pb.JobType(item_type="Item", job_type="job")]
        hello = pb.Hello(executor_id=executor_id, slots=slots, job_types=kinds)
        session = Session(hello, anything, anything, anything)
        session.free_slots = min(free_slots, slots)
        self.sessions.append(session)
        return session

    def open_sessions(self) -> list[Session]:
        """Returns the sessions."""
        return self.sessions

    def queued_jobs(self, _: object, __: object, limit: int) -> list[StoredJob]:
        """Returns the jobs that wait, the longest first."""
        return self.jobs[:limit]


@pytest.fixture
def waiting() -> Waiting:
    """Returns 240 jobs that wait."""
    return Waiting(240)


async def test_executor_that_claims_to_be_huge_takes_no_job_from_an_honest_one(
    waiting: Waiting,
) -> None:
    """What is offered to it and not claimed is bounded."""
    huge = waiting.connect("a", 10_000, 2**31 - 1)
    honest = waiting.connect("b", 50, 50)
    anything: Any = waiting
    OfferLoop(anything, anything, lambda: True).run_round()

    assert huge.count_open_offers() == MAX_OPEN_OFFERS
    assert honest.count_open_offers() == 50


async def test_executor_without_open_offers_comes_first() -> None:
    """One that leaves its offers unanswered waits behind it."""
    waiting = Waiting(1)
    idle = waiting.connect("a", 5, 5)
    idle.offer(pb.Offer(job=pb.Job(job_id="other", attempt=1)))
    idle._next_response = pb.SessionResponse()  # it was sent
    fresh = waiting.connect("b", 1, 1)
    anything: Any = waiting
    OfferLoop(anything, anything, lambda: True).run_round()

    assert fresh.count_open_offers() == 1
