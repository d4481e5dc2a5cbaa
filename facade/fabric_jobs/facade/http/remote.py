"""The remote-jobs routes (Extensibility Toolkit, preview): the body names the job instance."""

from typing import Any, NamedTuple

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.bodies import Payload, decode_remote, read_body, state_response
from fabric_jobs.facade.http.instance import instance_of
from fabric_jobs.facade.http.openapi import (
    RemoteCreateOperation,
    RemoteStateOperation,
    error_response_specs,
    state_response_spec,
)
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.jobs.instance import Instance

JOBS = "/workspaces/{workspaceId:str}/items/{itemType:str}/{itemId:str}/jobs"


class RemoteCall(NamedTuple):
    """The caller of a request, and what its path and body say."""

    caller: Caller
    instance: Instance
    payload: Payload


def remote_routes(operations: Operations) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    async def authenticate(request: Request[Any, Any, Any]) -> RemoteCall:
        caller = await operations.admission.caller(request)
        body = decode_remote(await read_body(request))
        part = request.path_params
        instance = instance_of(
            caller.tenant_id,
            part["workspaceId"],
            part["itemType"],
            part["itemId"],
            body.job_type,
            body.job_id,
        )
        return RemoteCall(caller, instance, body.payload)

    @post(
        f"{JOBS}/onCreateJobInstance",
        status_code=201,
        operation_id="RemoteJobs_OnCreateJobInstance",
        operation_class=RemoteCreateOperation,
        responses=state_response_spec(201)
        | error_response_specs(400, 401, 404, 409, 413, 429, 503),
    )
    async def on_create_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for starting a new job instance."""
        call = await authenticate(request)
        # A request of this family has no invoke type.
        unknown = InvokeType.UNKNOWN_FUTURE_VALUE
        job = await operations.create(request, call.caller, call.instance, unknown, call.payload)
        return state_response(job, 201)

    @post(
        f"{JOBS}/onGetJobInstanceStatus",
        status_code=200,
        operation_id="RemoteJobs_OnGetJobInstanceStatus",
        operation_class=RemoteStateOperation,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 413, 503),
    )
    async def on_get_job_instance_status(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        call = await authenticate(request)
        return state_response(await operations.state(call.instance))

    @post(
        f"{JOBS}/onCancelJobInstance",
        status_code=200,
        operation_id="RemoteJobs_OnCancelJobInstance",
        operation_class=RemoteStateOperation,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 413, 503),
    )
    async def on_cancel_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for cancelling a job instance."""
        call = await authenticate(request)
        return state_response(await operations.cancel(call.instance))

    return [on_create_job_instance, on_get_job_instance_status, on_cancel_job_instance]
