"""The WDK v1 routes: the path identifies the job instance."""

from typing import Any, NamedTuple

from litestar import Request, Response, get, post, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.answers import ACCEPTED, state_response
from fabric_jobs.facade.http.bodies import decode_create, read_body
from fabric_jobs.facade.http.instance import instance_of
from fabric_jobs.facade.http.openapi import (
    CreateOperation,
    StateOperation,
    error_response_specs,
    state_response_spec,
)
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.jobs.instance import Instance

INSTANCE = (
    "/workspaces/{workspaceId:str}/items/{itemType:str}/{itemId:str}"
    "/jobTypes/{jobType:str}/instances/{jobInstanceId:str}"
)


class WdkCall(NamedTuple):
    """The caller of a request, and the job instance in its path."""

    caller: Caller
    instance: Instance


def wdk_routes(operations: Operations) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    async def authenticate(request: Request[Any, Any, Any]) -> WdkCall:
        caller = await operations.admission.caller(request)
        part = request.path_params
        instance = instance_of(
            caller.tenant_id,
            part["workspaceId"],
            part["itemType"],
            part["itemId"],
            part["jobType"],
            part["jobInstanceId"],
        )
        return WdkCall(caller, instance)

    # It must be the first route of the path, because Litestar's own one names a single method.
    @route(INSTANCE, http_method=HttpMethod.OPTIONS, include_in_schema=False)
    async def list_methods() -> Response[None]:
        """The methods of the path."""
        return Response(None, status_code=204, headers={"Allow": "GET, OPTIONS, POST"})

    @post(
        INSTANCE,
        status_code=202,
        operation_id="Jobs_CreateItemJobInstance",
        operation_class=CreateOperation,
        responses=error_response_specs(400, 401, 404, 409, 413, 415, 429, 503),
    )
    async def create_item_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for starting a new job instance."""
        call = await authenticate(request)
        body = decode_create(await read_body(request))
        await operations.create(request, call.caller, call.instance, body.invoke_type, body.content)
        return ACCEPTED

    @get(
        INSTANCE,
        operation_id="Jobs_GetItemJobInstanceState",
        operation_class=StateOperation,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 503),
    )
    async def get_item_job_instance_state(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        call = await authenticate(request)
        return state_response(await operations.state(call.instance))

    @post(
        f"{INSTANCE}/cancel",
        status_code=200,
        operation_id="Jobs_CancelItemJobInstance",
        operation_class=StateOperation,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 503),
    )
    async def cancel_item_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for cancelling a job instance."""
        call = await authenticate(request)
        return state_response(await operations.cancel(call.instance))

    return [
        list_methods,
        create_item_job_instance,
        get_item_job_instance_state,
        cancel_item_job_instance,
    ]
