"""The remote-jobs family (Extensibility Toolkit, preview): a job instance is named in the body."""

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.bodies import Payload, body_of, decode_remote, state_of
from fabric_jobs.facade.http.instance import instance_of
from fabric_jobs.facade.http.openapi import (
    ItemId,
    ItemType,
    RemoteCreateOperation,
    RemoteStateOperation,
    WorkspaceId,
    errors,
    state,
)
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.jobs.instance import Instance

JOBS = "/workspaces/{workspaceId:str}/items/{itemType:str}/{itemId:str}/jobs"


def remote_routes(operations: Operations) -> list[HTTPRouteHandler]:
    """The handlers of the three operations."""

    async def asked(
        request: Request[Any, Any, Any], workspace_id: str, item_type: str, item_id: str
    ) -> tuple[Caller, Instance, Payload]:
        """Who asks, about which job, and with what."""
        caller = await operations.door.caller(request)
        body = decode_remote(await body_of(request))
        instance = instance_of(
            caller.tenant_id, workspace_id, item_type, item_id, body.job_type, body.job_id
        )
        return caller, instance, body.payload

    @post(
        f"{JOBS}/onCreateJobInstance",
        status_code=201,
        operation_id="RemoteJobs_OnCreateJobInstance",
        operation_class=RemoteCreateOperation,
        responses=state(201) | errors(400, 401, 404, 409, 413, 429, 503),
    )
    async def on_create_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for starting a new job instance."""
        caller, instance, payload = await asked(request, workspace_id, item_type, item_id)
        # This family doesn't say who asked.
        unknown = InvokeType.UNKNOWN_FUTURE_VALUE
        return state_of(await operations.create(request, caller, instance, unknown, payload), 201)

    @post(
        f"{JOBS}/onGetJobInstanceStatus",
        status_code=200,
        operation_id="RemoteJobs_OnGetJobInstanceStatus",
        operation_class=RemoteStateOperation,
        responses=state(200) | errors(400, 401, 404, 413, 503),
    )
    async def on_get_job_instance_status(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for retrieving a job instance state."""
        _, instance, _ = await asked(request, workspace_id, item_type, item_id)
        return state_of(await operations.state(instance))

    @post(
        f"{JOBS}/onCancelJobInstance",
        status_code=200,
        operation_id="RemoteJobs_OnCancelJobInstance",
        operation_class=RemoteStateOperation,
        responses=state(200) | errors(400, 401, 404, 413, 503),
    )
    async def on_cancel_job_instance(
        request: Request[Any, Any, Any],
        workspace_id: WorkspaceId,
        item_type: ItemType,
        item_id: ItemId,
    ) -> ASGIResponse:
        """Called by Microsoft Fabric for cancelling a job instance."""
        _, instance, _ = await asked(request, workspace_id, item_type, item_id)
        return state_of(await operations.cancel(instance))

    return [on_create_job_instance, on_get_job_instance_status, on_cancel_job_instance]
