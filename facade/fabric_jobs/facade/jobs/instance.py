"""A job instance's identity, and the hash that tells a repeated create from a conflicting one.

Every job's state holds the hash, so what goes into the hash never changes.
"""

import hashlib
from typing import NamedTuple, Self

import msgspec

from fabric_jobs.facade.lifecycle import Job, Request
from fabric_jobs.facade.sealing import Content
from fabric_jobs.runtime.telemetry import tracing

_canonical = msgspec.json.Encoder(order="deterministic")


class Instance(NamedTuple):
    """The parts that identify a job instance; HTTP shows a job only if all of them match."""

    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    job_id: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The identity of a stored job."""
        state = job.state
        return cls(
            tenant_id=state.tenant_id,
            workspace_id=state.workspace_id,
            item_type=state.item_type,
            item_id=state.item_id,
            job_type=state.job_type,
            job_id=job.job_id,
        )

    def matches(self, job: Job) -> bool:
        """Whether the job has this identity in every part."""
        return self == Instance.of(job)

    def request_hash(self, content_hash: str) -> str:
        """The SHA-256 of identity and content, in hex; it does not depend on the API called."""
        return hashlib.sha256("\n".join((*self, content_hash)).encode()).hexdigest()


def content_hash(payload: object, definition: object = None) -> str:
    """The SHA-256 of a decoded payload and definition, in hex.

    The order of keys and spaces do not change it. Without a definition it is the payload's hash.
    """
    found = hashlib.sha256(_canonical.encode(payload)).hexdigest()
    if definition is None:
        return found
    both = f"{found}\n{hashlib.sha256(_canonical.encode(definition)).hexdigest()}"
    return hashlib.sha256(both.encode()).hexdigest()


def retry_request(job: Job, content: Content, new_job_id: str) -> Request:
    """The request for a new job with the identity and `content` of an old one, but a new id."""
    instance = Instance.of(job)._replace(job_id=new_job_id)
    definition = _decode(content.definition) if content.definition else None
    old_content = content_hash(_decode(content.payload), definition)
    return Request(
        **instance._asdict(),
        invoke_type=job.state.invoke_type,
        request_hash=instance.request_hash(old_content),
        payload=content.payload,
        definition=content.definition,
        traceparent=tracing.current_traceparent(),
        # On the new job, because a final job takes no further event. One append says both that the
        # new job exists and whose place it takes, so no failure comes in between.
        retry_of=job.job_id,
    )


def _decode(json: bytes) -> object:
    """The value of a job's content; the bytes themselves if no decoder takes them.

    No create has such content. A record that no facade wrote may have it, such as bytes that are
    not UTF-8: the decoder of events looks only for the end of the content.
    """
    try:
        return msgspec.json.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json
