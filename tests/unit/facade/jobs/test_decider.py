"""Decisions on one job that a replica has applied."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fabric_jobs.contract import events
from fabric_jobs.facade.jobs.decider import Decider
from fabric_jobs.facade.lifecycle import Job, Reason, Refusal, Settled
from fabric_jobs.facade.replica import StoredJob
from tests.support.lifecycle import WAYS, A, claim, drive, request
from tests.support.sealing import NO_SEALING

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: The offset of the record that dispatched the job.
OFFSET = 7


class OneJob:
    """A replica that knows at most one job."""

    def __init__(self, job: Job | None) -> None:
        self._job = job

    def get(self, job_id: str) -> StoredJob | None:
        """The job, if there is one."""
        return StoredJob(self._job, partition=0, offset=OFFSET, first_ms=0) if self._job else None


def decider(job: Job | None) -> Decider:
    """The decider of a facade whose replica knows this job."""
    replica: Any = OneJob(job)
    return Decider(replica, NO_SEALING, "/test", lambda: NOW)


def test_decide_stamps_each_event_with_the_facade_the_time_and_an_id_of_its_own() -> None:
    """Two events with one id would be taken for one."""
    (first, stored), (second, _) = (decider(None).decide(request(), None) for _ in range(2))

    assert stored is None
    assert isinstance(first, events.Requested)
    assert isinstance(second, events.Requested)
    assert (first.source, first.time) == ("/test", NOW)
    assert first.id != second.id


@pytest.mark.parametrize("read_to", [None, OFFSET + 1])
def test_decide_grants_a_claim_of_the_record_that_dispatched_the_job(read_to: int | None) -> None:
    """A claim that names no record has none to compare."""
    job = drive(WAYS["queued"])
    decision, stored = decider(job).decide(claim(1, A, "e1"), read_to)

    assert isinstance(decision, events.Started)
    assert stored
    assert stored.job == job


@pytest.mark.parametrize("read_to", [OFFSET, OFFSET + 2])
def test_decide_refuses_a_claim_of_another_record_until_more_is_read(read_to: int) -> None:
    """The job's dispatch may be a later record, which this replica has not applied yet."""
    decision, _ = decider(drive(WAYS["queued"])).decide(claim(1, A, "e1"), read_to)

    assert decision == Refusal(Reason.NOT_DISPATCHED, conclusive=False)


def test_decide_refuses_a_claim_of_an_unknown_job_until_more_is_read() -> None:
    """An executor may read the job's first record before this replica does."""
    decision, stored = decider(None).decide(claim(1, A, "e1"), OFFSET + 1)

    assert (decision, stored) == (Refusal(Reason.NOT_FOUND, conclusive=False), None)


def test_decide_compares_no_record_with_a_claim_that_is_granted_already() -> None:
    """The last event of a running job is not its dispatch."""
    decision, _ = decider(drive(WAYS["running"])).decide(claim(1, A, "e1"), OFFSET)

    assert isinstance(decision, Settled)
