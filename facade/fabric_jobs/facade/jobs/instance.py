"""A job's place and payload, and the hash that tells a repeated create from a conflicting one.

The hash is in every job's state, so what goes into it never changes.
"""

import hashlib
from typing import NamedTuple, Self

import msgspec

from fabric_jobs.facade.lifecycle import Job, Request
from fabric_jobs.runtime.telemetry import tracing

_canonical = msgspec.json.Encoder(order="deterministic")


class Instance(NamedTuple):
    """The parts of a job's place; over HTTP a stored job is only shown to the very same."""

    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    job_id: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job's."""
        state = job.state
        return cls(
            tenant_id=state.tenant_id,
            workspace_id=state.workspace_id,
            item_type=state.item_type,
            item_id=state.item_id,
            job_type=state.job_type,
            job_id=job.job_id,
        )

    def owns(self, job: Job) -> bool:
        """Whether the job is this one in every part."""
        return self == Instance.of(job)

    def request_hash(self, content_hash: str) -> str:
        """The same for the same content, whichever API it came by."""
        return hashlib.sha256("\n".join((*self, content_hash)).encode()).hexdigest()


def content_hash(payload: object) -> str:
    """The same for the same decoded payload, however it was written."""
    return hashlib.sha256(_canonical.encode(payload)).hexdigest()


def again(job: Job, new_job_id: str) -> Request:
    """The request for another job with the place, the types and the payload of this one."""
    instance = Instance.of(job)._replace(job_id=new_job_id)
    payload_hash = content_hash(msgspec.json.decode(job.payload))
    return Request(
        **instance._asdict(),
        invoke_type=job.state.invoke_type,
        request_hash=instance.request_hash(payload_hash),
        payload=job.payload,
        traceparent=tracing.current(),
    )
