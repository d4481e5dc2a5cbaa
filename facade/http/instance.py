"""Which job a request is about."""

import hashlib
from typing import NamedTuple
from uuid import UUID

from fabric_jobs.guids import guid
from facade.http.errors import Code, HttpError
from facade.lifecycle import Job

MAX_ITEM_TYPE_CHARS = 64
MAX_JOB_TYPE_CHARS = 96


class Instance(NamedTuple):
    """The parts of a job's place; a stored job is only shown to the very same."""

    tenant_id: str
    workspace_id: str
    item_type: str
    item_id: str
    job_type: str
    job_id: str

    def owns(self, job: Job) -> bool:
        """Whether the job is this one in every part."""
        state = job.state
        return self == (
            state.tenant_id,
            state.workspace_id,
            state.item_type,
            state.item_id,
            state.job_type,
            job.job_id,
        )

    def request_hash(self, payload_hash: str) -> str:
        """The same for the same content, whichever family of routes it came by."""
        return hashlib.sha256("\n".join((*self, payload_hash)).encode()).hexdigest()


def instance_of(
    tenant_id: UUID, workspace_id: str, item_type: str, item_id: str, job_type: str, job_id: str
) -> Instance:
    """The place in its canonical spelling. Raises `HttpError`."""
    _check_length("itemType", item_type, MAX_ITEM_TYPE_CHARS)
    _check_length("jobType", job_type, MAX_JOB_TYPE_CHARS)
    return Instance(
        tenant_id=str(tenant_id),
        workspace_id=_guid("workspaceId", workspace_id),
        item_type=item_type,
        item_id=_guid("itemId", item_id),
        job_type=job_type,
        job_id=_guid("jobInstanceId", job_id),
    )


def _check_length(name: str, text: str, most: int) -> None:
    if not 0 < len(text) <= most:
        raise HttpError(Code.INVALID_REQUEST, f"{name} must have 1 to {most} characters.")


def _guid(name: str, text: str) -> str:
    try:
        return str(guid(text))
    except ValueError:
        raise HttpError(Code.INVALID_REQUEST, f"{name} is not a GUID.") from None
