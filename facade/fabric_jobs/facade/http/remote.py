"""The remote-jobs routes (Extensibility Toolkit, preview): the body names the job instance."""

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.answers import state_response
from fabric_jobs.facade.http.bodies import (
    RemoteBody,
    decode_remote,
    decode_remote_create,
    read_body,
)
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


def remote_routes(
    operations: Operations, body_limit: int, definition_limit: int
) -> list[HTTPRouteHandler]:
    """The handlers of the three operations; the limits are in bytes.

    A state or a cancel may be as large as a create: what it has no use for is ignored.
    """
    whole_limit = body_limit + definition_limit

    def instance_in(request: Request[Any, Any, Any], caller: Caller, body: RemoteBody) -> Instance:
        part = request.path_params
        return instance_of(
            caller.tenant_id,
            part["workspaceId"],
            part["itemType"],
            part["itemId"],
            body.job_type,
            body.job_id,
        )

    async def find_instance(request: Request[Any, Any, Any]) -> Instance:
        caller = await operations.admission.caller(request)
        return instance_in(request, caller, decode_remote(await read_body(request)))

    @post(
        f"{JOBS}/onCreateJobInstance",
        status_code=201,
        operation_id="RemoteJobs_OnCreateJobInstance",
        operation_class=RemoteCreateOperation,
        request_max_body_size=whole_limit,
        responses=state_response_spec(201)
        | error_response_specs(400, 401, 404, 409, 413, 415, 429, 503),
    )
    async def on_create_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for starting a new job instance."""
        caller = await operations.admission.caller(request)
        body, content = decode_remote_create(await read_body(request), body_limit, definition_limit)
        instance = instance_in(request, caller, body)
        # A request of this family has no invoke type.
        unknown = InvokeType.UNKNOWN_FUTURE_VALUE
        job = await operations.create(request, caller, instance, unknown, content)
        return state_response(job, 201)

    @post(
        f"{JOBS}/onGetJobInstanceStatus",
        status_code=200,
        operation_id="RemoteJobs_OnGetJobInstanceStatus",
        operation_class=RemoteStateOperation,
        request_max_body_size=whole_limit,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 413, 415, 503),
    )
    async def on_get_job_instance_status(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        return state_response(await operations.state(await find_instance(request)))

    @post(
        f"{JOBS}/onCancelJobInstance",
        status_code=200,
        operation_id="RemoteJobs_OnCancelJobInstance",
        operation_class=RemoteStateOperation,
        request_max_body_size=whole_limit,
        responses=state_response_spec(200) | error_response_specs(400, 401, 404, 413, 415, 503),
    )
    async def on_cancel_job_instance(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Called by Microsoft Fabric for cancelling a job instance."""
        return state_response(await operations.cancel(await find_instance(request)))

    return [on_create_job_instance, on_get_job_instance_status, on_cancel_job_instance]
