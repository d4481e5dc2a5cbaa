"""WDK v1's three operations on a job instance."""

import hashlib
import re
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fabric_jobs.topics import canonical_job_id
from facade.http.bodies import decode_create, state_of
from facade.http.errors import Code, HttpError
from facade.jobs import Jobs, RefusedError
from facade.lifecycle import Job, RequestCancel
from facade.lifecycle import Request as RequestJob

INSTANCE = (
    "/workspaces/{workspace_id:str}/items/{item_type:str}/{item_id:str}"
    "/jobTypes/{job_type:str}/instances/{job_id:str}"
)
TENANT_HEADER = "x-ms-client-tenant-id"
MAX_ITEM_TYPE_CHARS = 64
MAX_JOB_TYPE_CHARS = 96
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Instance(NamedTuple):
    """Which job a request is about; a stored job is only shown to the very same."""

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


def job_routes(jobs: Jobs) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    @post(INSTANCE, status_code=202)
    async def create_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> Response[bytes]:
        instance = _instance(request, workspace_id, item_type, item_id, job_type, job_id)
        body = decode_create(await request.body())
        traceparent = request.headers.get("traceparent", "")
        command = RequestJob(
            **instance._asdict(),
            invoke_type=body.invoke_type,
            request_hash=_request_hash(instance, body.payload_hash),
            payload=body.payload,
            traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        )
        try:
            await jobs.execute(command)
        except RefusedError:
            raise HttpError(
                Code.JOB_CONFLICT,
                "A job instance of this id exists with other content. Use a new id.",
            ) from None
        return Response(b"", status_code=202)

    @get(INSTANCE)
    async def get_item_job_instance_state(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> Response[bytes]:
        instance = _instance(request, workspace_id, item_type, item_id, job_type, job_id)
        return _state(await _own(jobs, instance))

    @post(f"{INSTANCE}/cancel", status_code=200)
    async def cancel_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> Response[bytes]:
        instance = _instance(request, workspace_id, item_type, item_id, job_type, job_id)
        await _own(jobs, instance)
        try:
            entry = await jobs.execute(RequestCancel(job_id=instance.job_id))
        except RefusedError:
            raise _not_found() from None
        return _state(entry.job)

    return [
        create_item_job_instance,
        get_item_job_instance_state,
        cancel_item_job_instance,
    ]


def _instance(
    request: Request[Any, Any, Any],
    workspace_id: str,
    item_type: str,
    item_id: str,
    job_type: str,
    job_id: str,
) -> Instance:
    tenants = request.headers.getall(TENANT_HEADER, [])
    if len(tenants) != 1:
        raise HttpError(Code.AUTH_ERROR, f"Send exactly one {TENANT_HEADER} header.")
    if not 0 < len(item_type) <= MAX_ITEM_TYPE_CHARS:
        raise HttpError(Code.INVALID_REQUEST, f"itemType has over {MAX_ITEM_TYPE_CHARS} letters.")
    if not 0 < len(job_type) <= MAX_JOB_TYPE_CHARS:
        raise HttpError(Code.INVALID_REQUEST, f"jobType has over {MAX_JOB_TYPE_CHARS} letters.")
    return Instance(
        tenant_id=_guid(Code.AUTH_ERROR, TENANT_HEADER, tenants[0]),
        workspace_id=_guid(Code.INVALID_REQUEST, "workspaceId", workspace_id),
        item_type=item_type,
        item_id=_guid(Code.INVALID_REQUEST, "itemId", item_id),
        job_type=job_type,
        job_id=canonical_job_id(_guid(Code.INVALID_REQUEST, "jobInstanceId", job_id)),
    )


def _guid(code: Code, name: str, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise HttpError(code, f"{name} is not a GUID.") from None


async def _own(jobs: Jobs, instance: Instance) -> Job:
    entry = await jobs.read(instance.job_id)
    if entry is None or not instance.owns(entry.job):
        raise _not_found()
    return entry.job


def _not_found() -> HttpError:
    return HttpError(
        Code.JOB_NOT_FOUND, "No such job instance is known under this path and tenant."
    )


def _request_hash(instance: Instance, payload_hash: str) -> str:
    return hashlib.sha256("\n".join((*instance, payload_hash)).encode()).hexdigest()


def _state(job: Job) -> Response[bytes]:
    return Response(msgspec.json.encode(state_of(job)), media_type="application/json")
