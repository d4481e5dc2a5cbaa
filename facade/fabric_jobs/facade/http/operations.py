"""The three operations on a job instance, for every family of routes."""

from typing import Any

from litestar import Request

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.admission import AdmissionControl
from fabric_jobs.facade.http.bodies import Payload
from fabric_jobs.facade.http.correlation import activity_id, request_id
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.headers import traceparent_of
from fabric_jobs.facade.jobs.instance import Instance
from fabric_jobs.facade.jobs.jobs import Jobs, RefusedError
from fabric_jobs.facade.lifecycle import Job, RequestCancel
from fabric_jobs.facade.lifecycle import Request as RequestJob
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import concerning


class Operations:
    """Create, state and cancel. Raise `HttpError` and `LogUnavailableError`."""

    def __init__(self, jobs: Jobs, door: AdmissionControl) -> None:
        self._jobs = jobs
        self.door = door

    async def create(
        self,
        request: Request[Any, Any, Any],
        caller: Caller,
        instance: Instance,
        invoke_type: InvokeType,
        payload: Payload,
    ) -> Job:
        """The job: a new one, or the same that was asked for before."""
        self.door.check_served(instance)
        self.door.check_subject(caller, invoke_type)
        if not self._jobs.known(instance.job_id):
            self.door.check_limits(caller.tenant_id)
        command = RequestJob(
            **instance._asdict(),
            invoke_type=invoke_type,
            request_hash=instance.request_hash(payload.content_hash),
            payload=payload.json,
            activity_id=activity_id(),
            request_id=request_id(),
            # Of our own span, where there is one: it continues the trace that Fabric began.
            traceparent=tracing.current() or traceparent_of(request.scope),
        )
        try:
            with concerning(job=instance.job_id):
                return (await self._jobs.execute(command)).job
        except RefusedError:
            raise HttpError(
                Code.JOB_CONFLICT,
                "A job instance of this id exists with other content. Use a new id.",
            ) from None

    async def state(self, instance: Instance) -> Job:
        """The job, if the whole place is its own."""
        entry = await self._jobs.read(instance.job_id)
        if entry is None or not instance.owns(entry.job):
            raise _not_found()
        return entry.job

    async def cancel(self, instance: Instance) -> Job:
        """The job after the cancel."""
        await self.state(instance)
        try:
            with concerning(job=instance.job_id):
                return (await self._jobs.execute(RequestCancel(job_id=instance.job_id))).job
        except RefusedError:
            raise _not_found() from None


def _not_found() -> HttpError:
    return HttpError(
        Code.JOB_NOT_FOUND, "No such job instance is known under this path and tenant."
    )
