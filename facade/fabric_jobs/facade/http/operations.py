"""The three operations on a job instance, for both families of routes."""

from typing import Any

from litestar import Request

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Caller
from fabric_jobs.facade.http.admission import AdmissionControl, subject_token
from fabric_jobs.facade.http.bodies import Content
from fabric_jobs.facade.http.correlation import activity_id, request_id
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.headers import traceparent_of
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.jobs.instance import Instance
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Job, RequestCancel
from fabric_jobs.facade.lifecycle import Request as RequestJob
from fabric_jobs.facade.on_behalf_of import OnBehalfOf
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids


class Operations:
    """Create, state and cancel. Each raises `HttpError` and `UnavailableError`."""

    def __init__(
        self, jobs: Jobs, admission: AdmissionControl, on_behalf_of: OnBehalfOf | None = None
    ) -> None:
        self._jobs = jobs
        self.admission = admission
        self._on_behalf_of = on_behalf_of

    async def create(
        self,
        request: Request[Any, Any, Any],
        caller: Caller,
        instance: Instance,
        invoke_type: InvokeType,
        content: Content,
    ) -> Job:
        """Creates the job; returns the existing one if the same create came before.

        Raises `InteractionRequiredError` too.
        """
        self.admission.check_served(instance)
        self.admission.check_subject(caller, invoke_type)
        grant_id = None
        if not self._jobs.is_known(instance.job_id):
            self.admission.check_limits(caller.tenant_id)
            if self._on_behalf_of and caller.has_subject:
                grant_id = await self._on_behalf_of.accept(
                    caller.tenant_id, instance.job_id, subject_token(request)
                )
        command = RequestJob(
            **instance._asdict(),
            invoke_type=invoke_type,
            request_hash=instance.request_hash(content.content_hash),
            payload=content.payload,
            definition=content.definition,
            activity_id=activity_id(),
            request_id=request_id(),
            # If tracing is on, this is our own span, which is in the trace that Fabric began.
            traceparent=tracing.current_traceparent() or traceparent_of(request.scope),
            grant_id=grant_id,
        )
        try:
            with bind_ids(job=instance.job_id):
                stored = await self._jobs.execute(command)
                if self._on_behalf_of and grant_id and stored.job.state.grant_id != grant_id:
                    self._on_behalf_of.discard(grant_id)
                return self._reveal(stored)
        except RefusedError:
            if self._on_behalf_of and grant_id:
                self._on_behalf_of.discard(grant_id)
            raise HttpError(
                Code.JOB_CONFLICT,
                "A job instance with this id exists with other content. Use a new id.",
            ) from None

    async def state(self, instance: Instance) -> Job:
        """The job. A job whose identity differs in any part counts as not found."""
        return self._reveal(_check_found(instance, await self._jobs.read(instance.job_id)))

    async def cancel(self, instance: Instance) -> Job:
        """Asks the job to stop; returns the job after that."""
        # Only the identity is checked, which never changes: the command itself reads as far as it
        # needs. A look at the log's end here would take as long as the command.
        _check_found(instance, await self._jobs.find(instance.job_id))
        try:
            with bind_ids(job=instance.job_id):
                stored = await self._jobs.execute(RequestCancel(job_id=instance.job_id))
                return self._reveal(stored)
        except RefusedError:
            raise _not_found() from None

    def _reveal(self, stored: StoredJob) -> Job:
        return self._jobs.secrets.reveal(stored.job).job


def _check_found(instance: Instance, stored: StoredJob | None) -> StoredJob:
    """Returns the stored job. Raises `HttpError` if there is none, or its identity differs."""
    if stored is None or not instance.matches(stored.job):
        raise _not_found()
    return stored


def _not_found() -> HttpError:
    return HttpError(
        Code.JOB_NOT_FOUND, "No such job instance is known under this path and tenant."
    )
