"""An attempt that can be claimed: read from the topic, or offered by a facade on the stream."""

from msgspec import UNSET, Struct
from msgspec.structs import replace

from fabric_jobs.contract.events import Event
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.contract.wire import policy_to_proto
from fabric_jobs.status.v1 import job_status_pb2 as pb


class DispatchedAttempt(Struct, frozen=True, kw_only=True):
    """One attempt of a job, and the record on the topic that dispatches it."""

    job_id: str
    #: The number of the attempt, from 1.
    attempt: int
    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    invoke_type: InvokeType
    #: The creation payload, as JSON. It is `null` if the request had no payload. A payload, a
    #: definition and a checkpoint that are sealed on the topic come with the grant of the claim.
    payload: bytes
    #: The item's definition, as JSON. It is empty if the request had no definition.
    definition: bytes
    #: The last checkpoint of the earlier attempts, as JSON. `None` if none was saved.
    checkpoint: bytes | None = None
    activity_id: str | None
    request_id: str | None
    #: W3C Trace Context of the request that created the job, if the request was traced.
    traceparent: str | None
    #: W3C Trace Context of the claim of the previous attempt, if that claim was traced.
    earlier_traceparent: str | None
    event_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"job {self.job_id} attempt {self.attempt}"

    @property
    def handler_key(self) -> tuple[str, str]:
        """The key of the attempt's handler: item type and job type."""
        return self.item_type, self.job_type

    @property
    def content_bytes(self) -> int:
        """The bytes of payload, definition and checkpoint, which may be most of what it holds."""
        return len(self.payload) + len(self.definition) + len(self.checkpoint or b"")

    def with_content(self, content: pb.Dispatch) -> "DispatchedAttempt":
        """Returns the attempt with the content that came with the grant of its claim."""
        return replace(
            self,
            payload=content.payload,
            definition=content.definition,
            checkpoint=content.checkpoint or None,
        )

    def claim(self, policy: Policy) -> pb.Claim:
        """Returns the stream entry that claims this attempt."""
        return pb.Claim(
            job_id=self.job_id,
            attempt=self.attempt,
            record=pb.Record(event_id=self.event_id, partition=self.partition, offset=self.offset),
            policy=policy_to_proto(policy),
        )


def attempt_from_event(event: Event, partition: int, offset: int) -> DispatchedAttempt | None:
    """Returns the attempt that an event dispatches, or `None` if it dispatches no attempt.

    The partition and the offset are those of the event's record.
    """
    if event.data.dispatch is UNSET:
        return None
    state, dispatch = event.data.state, event.data.dispatch
    definition, checkpoint = dispatch.definition, dispatch.checkpoint
    return DispatchedAttempt(
        job_id=event.subject,
        attempt=state.attempt,
        tenant_id=state.tenant_id,
        workspace_id=state.workspace_id,
        item_type=state.item_type,
        item_id=state.item_id,
        job_type=state.job_type,
        invoke_type=InvokeType.parse(state.invoke_type),
        # A copy, because `Raw` would keep the whole record in memory until the run ends.
        payload=bytes(dispatch.payload),
        definition=b"" if definition is UNSET else bytes(definition),
        checkpoint=None if checkpoint is UNSET else bytes(checkpoint),
        activity_id=state.activity_id,
        request_id=state.request_id,
        traceparent=None if event.traceparent is UNSET else event.traceparent,
        earlier_traceparent=state.claim_traceparent,
        event_id=event.id,
        partition=partition,
        offset=offset,
    )


def attempt_from_offer(offer: pb.Offer) -> DispatchedAttempt:
    """Returns the attempt that a facade offers."""
    job, record = offer.job, offer.record
    return DispatchedAttempt(
        job_id=job.job_id,
        attempt=job.attempt,
        tenant_id=job.tenant_id,
        workspace_id=job.workspace_id,
        item_type=job.item_type,
        item_id=job.item_id,
        job_type=job.job_type,
        invoke_type=InvokeType.parse(job.invoke_type),
        payload=offer.payload,
        definition=offer.definition,
        checkpoint=offer.checkpoint or None,
        activity_id=job.activity_id or None,
        request_id=job.request_id or None,
        traceparent=job.traceparent or None,
        earlier_traceparent=job.claim_traceparent or None,
        event_id=record.event_id,
        partition=record.partition,
        offset=record.offset,
    )
