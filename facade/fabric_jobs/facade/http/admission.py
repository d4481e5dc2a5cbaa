"""Who is let in: authentication, the kinds of jobs that are served, and limits a tenant."""

import time
from collections.abc import Callable
from typing import Any

from litestar import Request
from msgspec import Struct

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Authenticator, Caller
from fabric_jobs.facade.auth.header import TENANT_HEADER, tenant
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.headers import sent
from fabric_jobs.facade.jobs.instance import Instance

#: Tenants whose rates are held before those that have been quiet are forgotten.
MAX_BUCKETS = 10_000


class AdmissionRules(Struct, frozen=True, kw_only=True):
    """What is let in beside who; empty and 0 mean any."""

    #: Invoke types whose create must come with a subject token.
    subject_required: frozenset[InvokeType] = frozenset()
    item_types: frozenset[str] = frozenset()
    job_types: frozenset[str] = frozenset()
    #: Creates a second that a tenant may send to this replica.
    tenant_creates_per_s: float = 0
    #: Jobs of a tenant that may be unfinished at a time.
    tenant_unfinished_jobs: int = 0


class AdmissionControl:
    """Lets requests in, or raises what `HttpError`, `AuthError` and `AuthorityError` say."""

    def __init__(
        self,
        authenticator: Authenticator | None,
        admission: AdmissionRules,
        has_room: Callable[[str, int], bool],
    ) -> None:
        """Without an authenticator whoever calls is believed.

        `has_room` tells whether a tenant has fewer unfinished jobs than a number.
        """
        self._authenticator = authenticator
        self._admission = admission
        self._has_room = has_room
        self._buckets: dict[str, tuple[float, float]] = {}

    async def caller(self, request: Request[Any, Any, Any]) -> Caller:
        """For whom the request is made."""
        tenants = sent(request.scope, TENANT_HEADER)
        if self._authenticator is None:
            return Caller(str(tenant(tenants)), has_subject=True)
        return await self._authenticator.authenticate(sent(request.scope, "authorization"), tenants)

    def check_served(self, instance: Instance) -> None:
        """Whether jobs of this kind are served at all."""
        kinds = self._admission
        if kinds.item_types and instance.item_type not in kinds.item_types:
            raise HttpError(
                Code.ITEM_TYPE_NOT_SERVED, f"Items of type {instance.item_type} are not served."
            )
        if kinds.job_types and instance.job_type not in kinds.job_types:
            raise HttpError(
                Code.JOB_TYPE_NOT_SERVED, f"Jobs of type {instance.job_type} are not served."
            )

    def check_subject(self, caller: Caller, invoke_type: InvokeType) -> None:
        """Whether a user must stand behind a create of this invoke type, and does."""
        if invoke_type in self._admission.subject_required and not caller.has_subject:
            raise HttpError(Code.AUTH_ERROR, f"A {invoke_type} job must come with a subject token.")

    def check_limits(self, tenant_id: str) -> None:
        """Whether the tenant may have one more job now."""
        most = self._admission.tenant_unfinished_jobs
        if most and not self._has_room(tenant_id, most):
            raise HttpError(
                Code.TOO_MANY_REQUESTS,
                f"The tenant has {most} unfinished jobs, which is the limit. Let some finish.",
            )
        rate = self._admission.tenant_creates_per_s
        if rate and not self._taken(tenant_id, rate):
            raise HttpError(
                Code.TOO_MANY_REQUESTS, f"The tenant sent over {rate:g} creates a second."
            )

    def _taken(self, tenant_id: str, rate: float) -> bool:
        """Takes one from the tenant's bucket, which holds a second's worth and at least one."""
        now, full = time.monotonic(), max(rate, 1.0)
        filled, since = self._buckets.get(tenant_id, (full, now))
        filled = min(full, filled + (now - since) * rate)
        if filled < 1:
            return False
        if len(self._buckets) >= MAX_BUCKETS:
            # A bucket that has filled up again says no more than none.
            self._buckets = {
                other: (held, at)
                for other, (held, at) in self._buckets.items()
                if held + (now - at) * rate < full
            }
        self._buckets[tenant_id] = filled - 1, now
        return True
