"""Attempts that can be claimed, from either source."""

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import NotAnEventError
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.executor import dispatches
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import requested, started

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EARLIER = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"


def test_a_dispatching_record_says_what_a_run_needs() -> None:
    """The job, its attempt, its payload, and the record that the claim names."""
    value = events.encode(requested("a", b'{"x": [1]}', traceparent=TRACE))
    dispatched = dispatches.of_record(3, 14, value)

    assert dispatched is not None
    assert (dispatched.job_id, dispatched.attempt) == ("a", 1)
    assert (dispatched.tenant_id, dispatched.workspace_id) == ("the tenant", "the workspace")
    assert (dispatched.item_type, dispatched.job_type) == ("Test.Item", "test")
    assert (dispatched.item_id, dispatched.invoke_type) == ("the item", InvokeType.SCHEDULED)
    assert (dispatched.payload, dispatched.traceparent) == (b'{"x": [1]}', TRACE)
    claim = dispatched.claim(Policy())
    assert claim.record == pb.Record(event_id="event of a", partition=3, offset=14)
    assert claim.policy.max_attempts == 1


def test_an_unknown_event_that_dispatches_is_claimed() -> None:
    """Dispatch never changes form; the facade decides what it means."""
    value = events.encode(requested("a")).replace(b"fabric.jobs.requested", b"fabric.jobs.later")

    assert dispatches.of_record(0, 0, value) is not None


def test_a_record_without_a_dispatch_is_passed_over() -> None:
    """Most are."""
    assert dispatches.of_record(0, 0, started("a")) is None


def test_a_record_that_is_no_event_raises() -> None:
    """The intake counts it."""
    with pytest.raises(NotAnEventError):
        dispatches.of_record(0, 0, b"\xff")


def test_an_offer_says_the_same_as_the_record() -> None:
    """Its trace too, and the claim of the attempt before."""
    event = requested("a", b"[]", traceparent=TRACE)
    state = replace(event.data.state, claim_traceparent=EARLIER)
    event = replace(event, data=replace(event.data, state=state))
    record = dispatches.of_record(3, 14, events.encode(event))
    offer = pb.Offer(
        job=pb.Job(
            job_id="a",
            attempt=1,
            tenant_id="the tenant",
            workspace_id="the workspace",
            item_type="Test.Item",
            item_id="the item",
            job_type="test",
            invoke_type="Scheduled",
            traceparent=TRACE,
            claim_traceparent=EARLIER,
        ),
        record=pb.Record(event_id="event of a", partition=3, offset=14),
        payload=b"[]",
    )

    assert dispatches.of_offer(offer) == record
    assert record
    assert record.earlier_traceparent == EARLIER


def test_an_invoke_type_of_a_later_version_is_the_future_one() -> None:
    """An old executor runs the job all the same."""
    offer = pb.Offer(job=pb.Job(invoke_type="OnDemand"))

    assert dispatches.of_offer(offer).invoke_type is InvokeType.UNKNOWN_FUTURE_VALUE
