"""WDK v1: a job instance is a resource with a path of its own."""

from typing import Any, cast

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from facade.http.bodies import ItemJobInstanceState, decode_create, state_of
from facade.http.instance import instance_of
from facade.http.openapi import CreateOperation, errors
from facade.http.operations import Operations

INSTANCE = (
    "/workspaces/{workspace_id:str}/items/{item_type:str}/{item_id:str}"
    "/jobTypes/{job_type:str}/instances/{job_id:str}"
)


def wdk_routes(operations: Operations) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    @post(
        INSTANCE,
        status_code=202,
        operation_id="Jobs_CreateItemJobInstance",
        operation_class=CreateOperation,
        responses=errors(400, 401, 404, 409, 413, 429, 503),
    )
    async def create_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> Response[None]:
        """Called by Microsoft Fabric for starting a new job instance."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        body = decode_create(await request.body())
        await operations.create(request, caller, instance, body.invoke_type, body.payload)
        # A body of None would be sent as `null`; the contract has none.
        return cast("Response[None]", Response(b"", status_code=202))

    @get(
        INSTANCE,
        operation_id="Jobs_GetItemJobInstanceState",
        responses=errors(400, 401, 404, 503),
    )
    async def get_item_job_instance_state(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> ItemJobInstanceState:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        return state_of(await operations.state(instance))

    @post(
        f"{INSTANCE}/cancel",
        status_code=200,
        operation_id="Jobs_CancelItemJobInstance",
        responses=errors(400, 401, 404, 503),
    )
    async def cancel_item_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: FromPath[str],
        item_type: FromPath[str],
        item_id: FromPath[str],
        job_type: FromPath[str],
        job_id: FromPath[str],
    ) -> ItemJobInstanceState:
        """Called by Microsoft Fabric for cancelling a job instance."""
        caller = await operations.door.caller(request)
        instance = instance_of(caller.tenant_id, workspace_id, item_type, item_id, job_type, job_id)
        return state_of(await operations.cancel(instance))

    return [
        create_item_job_instance,
        get_item_job_instance_state,
        cancel_item_job_instance,
    ]
