"""Validates the parts of a job instance's identity in a request."""

import re

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.jobs.instance import Instance

MAX_ITEM_TYPE_CHARS = 64
MAX_JOB_TYPE_CHARS = 96
#: The pattern of both, as JSON Schema spells it.
NAME_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]+$"
_NAME = re.compile(NAME_PATTERN)


def instance_of(
    tenant_id: str, workspace_id: str, item_type: str, item_id: str, job_type: str, job_id: str
) -> Instance:
    """The job instance with canonical GUIDs. Raises `HttpError` if a part is malformed."""
    _check_name("itemType", item_type, MAX_ITEM_TYPE_CHARS)
    _check_name("jobType", job_type, MAX_JOB_TYPE_CHARS)
    return Instance(
        tenant_id=tenant_id,
        workspace_id=_canonical("workspaceId", workspace_id),
        item_type=item_type,
        item_id=_canonical("itemId", item_id),
        job_type=job_type,
        job_id=_canonical("jobInstanceId", job_id),
    )


def _check_name(name: str, text: str, most: int) -> None:
    if not 0 < len(text) <= most:
        raise HttpError(Code.INVALID_REQUEST, f"{name} must have 1 to {most} characters.")
    if not _NAME.fullmatch(text):
        raise HttpError(Code.INVALID_REQUEST, f"{name} must have no control characters.")


def _canonical(name: str, text: str) -> str:
    try:
        return canonical_guid(text)
    except ValueError:
        raise HttpError(Code.INVALID_REQUEST, f"{name} is not a GUID.") from None
