"""WDK v1: a job instance is a resource with a path of its own."""

from typing import Any

from litestar import Request, Response, get, post, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from fabric_jobs.facade.http.bodies import body_of, decode_create, state_of
from fabric_jobs.facade.http.instance import instance_of
from fabric_jobs.facade.http.openapi import (
    CreateOperation,
    ItemId,
    ItemType,
    JobInstanceId,
    JobType,
    StateOperation,
    WorkspaceId,
    errors,
    state,
)
from fabric_jobs.facade.http.operations import Operations

INSTANCE = (
    "/workspaces/{workspaceId:str}/items/{itemType:str}/{itemId:str}"
    "/jobTypes/{jobType:str}/instances/{jobInstanceId:str}"
)

#: A body of None would be sent as `null`; the contract has none.
ACCEPTED = ASGIResponse(status_code=202)


def wdk_routes(operations: Operations) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    # The first of all: the framework's own would only know the first method of the path.
    @route(INSTANCE, http_method=HttpMethod.OPTIONS, include_in_schema=False)
    async def allowed() -> Response[None]:
        """What the path takes."""
        return Response(None, status_code=204, headers={"Allow": "GET, OPTIONS, POST"})

    @post(
        INSTANCE,
        status_code=202,
        operation_id="Jobs_CreateItemJobInstance",
        operation_class=CreateOperation,
        responses=errors(400, 401, 404, 409, 413, 429, 503),
    )
    async def create_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
        job_type: JobType,
        job_id: JobInstanceId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for starting a new job instance."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        body = decode_create(await body_of(request))
        await operations.create(request, caller, instance, body.invoke_type, body.payload)
        return ACCEPTED

    @get(
        INSTANCE,
        operation_id="Jobs_GetItemJobInstanceState",
        operation_class=StateOperation,
        responses=state(200) | errors(400, 401, 404, 503),
    )
    async def get_item_job_instance_state(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
        job_type: JobType,
        job_id: JobInstanceId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        return state_of(await operations.state(instance))

    @post(
        f"{INSTANCE}/cancel",
        status_code=200,
        operation_id="Jobs_CancelItemJobInstance",
        operation_class=StateOperation,
        responses=state(200) | errors(400, 401, 404, 503),
    )
    async def cancel_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
        job_type: JobType,
        job_id: JobInstanceId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for cancelling a job instance."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        return state_of(await operations.cancel(instance))

    return [
        allowed,
        create_item_job_instance,
        get_item_job_instance_state,
        cancel_item_job_instance,
    ]
