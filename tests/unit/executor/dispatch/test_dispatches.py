"""Dispatched attempts, from a record and from an offer."""

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.executor.dispatch import dispatches
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import requested_event, started_record
from tests.support.lifecycle import ITEM, JOB, TENANT, WORKSPACE

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EARLIER = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"


def test_attempt_from_dispatching_event_holds_what_a_run_needs() -> None:
    """It holds the job, the attempt, the payload, and the record that the claim names."""
    event = requested_event("a", b'{"x": [1]}', traceparent=TRACE)
    dispatched = dispatches.attempt_from_event(event, 3, 14)

    assert dispatched is not None
    assert (dispatched.job_id, dispatched.attempt) == ("a", 1)
    assert (dispatched.tenant_id, dispatched.workspace_id) == (TENANT, WORKSPACE)
    assert (dispatched.item_type, dispatched.job_type) == ("Test.Item", "test")
    assert (dispatched.item_id, dispatched.invoke_type) == (ITEM, InvokeType.SCHEDULED)
    assert (dispatched.payload, dispatched.traceparent) == (b'{"x": [1]}', TRACE)
    claim = dispatched.claim(Policy())
    assert claim.record == pb.Record(event_id="event of a", partition=3, offset=14)
    assert claim.policy.max_attempts == 1


def test_attempt_from_event_or_offer_has_the_definition() -> None:
    """It is empty if the request had none."""
    event = requested_event("a")
    assert event.data.dispatch is not UNSET
    dispatch = replace(event.data.dispatch, definition=Raw(b'{"parts": []}'))
    event = replace(event, data=replace(event.data, dispatch=dispatch))

    from_event = dispatches.attempt_from_event(event, 0, 0)
    from_offer = dispatches.attempt_from_offer(pb.Offer(definition=b'{"parts": []}'))
    without = dispatches.attempt_from_event(requested_event("a"), 0, 0)

    assert from_event
    assert without
    assert from_event.definition == from_offer.definition == b'{"parts": []}'
    assert without.definition == b""


def test_attempt_from_event_of_unknown_event_type_that_dispatches_is_returned() -> None:
    """The form of a dispatch never changes, and the facade decides about the claim."""
    value = events.encode(requested_event(JOB)).replace(
        b"fabric.jobs.requested", b"fabric.jobs.later"
    )

    assert dispatches.attempt_from_event(events.decode(value), 0, 0) is not None


def test_attempt_from_event_without_dispatch_is_none() -> None:
    """Most records dispatch nothing, such as the record of a grant."""
    assert dispatches.attempt_from_event(events.decode(started_record(JOB)), 0, 0) is None


def test_attempt_from_offer_equals_the_attempt_from_its_record() -> None:
    """This includes the trace of the request and of the previous attempt's claim."""
    event = requested_event("a", b"[]", traceparent=TRACE)
    state = replace(event.data.state, claim_traceparent=EARLIER)
    event = replace(event, data=replace(event.data, state=state))
    record = dispatches.attempt_from_event(event, 3, 14)
    offer = pb.Offer(
        job=pb.Job(
            job_id="a",
            attempt=1,
            tenant_id=TENANT,
            workspace_id=WORKSPACE,
            item_type="Test.Item",
            item_id=ITEM,
            job_type="test",
            invoke_type="Scheduled",
            traceparent=TRACE,
            claim_traceparent=EARLIER,
        ),
        record=pb.Record(event_id="event of a", partition=3, offset=14),
        payload=b"[]",
    )

    assert dispatches.attempt_from_offer(offer) == record
    assert record
    assert record.earlier_traceparent == EARLIER


def test_attempt_from_offer_with_unknown_invoke_type_has_unknown_future_value() -> None:
    """An executor runs a job whose invoke type only a later version knows."""
    offer = pb.Offer(job=pb.Job(invoke_type="OnDemand"))

    assert dispatches.attempt_from_offer(offer).invoke_type is InvokeType.UNKNOWN_FUTURE_VALUE
