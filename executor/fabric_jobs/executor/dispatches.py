"""An attempt that can be claimed: read from the topic, or offered on the stream."""

from msgspec import UNSET, Struct

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.contract.wire import policy_to_proto
from fabric_jobs.status.v1 import job_status_pb2 as pb


class Dispatched(Struct, frozen=True, kw_only=True):
    """One attempt of a job, and the record that dispatches it."""

    job_id: str
    attempt: int
    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    invoke_type: InvokeType
    #: The creation payload, as JSON; `null` where the request had none.
    payload: bytes
    activity_id: str | None
    request_id: str | None
    traceparent: str | None
    #: Of the claim of the attempt before.
    earlier_traceparent: str | None
    event_id: str
    partition: int
    offset: int

    @property
    def kind(self) -> tuple[str, str]:
        """Its item type and job type: what a handler is named by."""
        return self.item_type, self.job_type

    def claim(self, policy: Policy) -> pb.Claim:
        """The entry that asks for it."""
        return pb.Claim(
            job_id=self.job_id,
            attempt=self.attempt,
            record=pb.Record(event_id=self.event_id, partition=self.partition, offset=self.offset),
            policy=policy_to_proto(policy),
        )


def of_record(partition: int, offset: int, value: bytes | None) -> Dispatched | None:
    """The attempt that a record dispatches, if it does. Raises `NotAnEventError`."""
    event = events.decode(value)
    if event.data.dispatch is UNSET:
        return None
    state = event.data.state
    return Dispatched(
        job_id=event.subject,
        attempt=state.attempt,
        tenant_id=state.tenant_id,
        workspace_id=state.workspace_id,
        item_type=state.item_type,
        item_id=state.item_id,
        job_type=state.job_type,
        invoke_type=InvokeType.parse(state.invoke_type),
        # A copy: `Raw` would keep the whole record alive for as long as the run.
        payload=bytes(event.data.dispatch.payload),
        activity_id=state.activity_id,
        request_id=state.request_id,
        traceparent=None if event.traceparent is UNSET else event.traceparent,
        earlier_traceparent=state.claim_traceparent,
        event_id=event.id,
        partition=partition,
        offset=offset,
    )


def of_offer(offer: pb.Offer) -> Dispatched:
    """The attempt that a replica offers."""
    job, record = offer.job, offer.record
    return Dispatched(
        job_id=job.job_id,
        attempt=job.attempt,
        tenant_id=job.tenant_id,
        workspace_id=job.workspace_id,
        item_type=job.item_type,
        item_id=job.item_id,
        job_type=job.job_type,
        invoke_type=InvokeType.parse(job.invoke_type),
        payload=offer.payload,
        activity_id=job.activity_id or None,
        request_id=job.request_id or None,
        traceparent=job.traceparent or None,
        earlier_traceparent=job.claim_traceparent or None,
        event_id=record.event_id,
        partition=record.partition,
        offset=record.offset,
    )
