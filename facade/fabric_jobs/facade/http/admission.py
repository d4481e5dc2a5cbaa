"""Admission control: authentication, the types of jobs that are accepted, limits per tenant."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from litestar import Request
from msgspec import Struct

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import Authenticator, Caller
from fabric_jobs.facade.auth.header import TENANT_HEADER, tenant, token_pair
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.headers import header_values
from fabric_jobs.facade.jobs.instance import Instance
from fabric_jobs.runtime.settings import names_loopback

#: Tenants whose token buckets are kept. Beyond it, the bucket that was not used for longest goes.
MAX_BUCKETS = 50_000


class AdmissionRules(Struct, frozen=True, kw_only=True):
    """Which creates are accepted from an authenticated caller. An empty set or 0 is no limit."""

    #: Invoke types for which a create must carry a subject token.
    subject_required: frozenset[InvokeType] = frozenset()
    item_types: frozenset[str] = frozenset()
    job_types: frozenset[str] = frozenset()
    #: The creates per second that this facade accepts from a tenant.
    tenant_creates_per_s: float = 0
    #: The unfinished jobs that a tenant may have at a time.
    tenant_unfinished_jobs: int = 0


class AdmissionControl:
    """Authenticates callers, and checks creates by the rules.

    Raises `HttpError`, and from `caller` also `AuthError` and `AuthorityError`.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        rules: AdmissionRules,
        has_room: Callable[[str, int], bool],
    ) -> None:
        """Without an authenticator every caller counts as Fabric.

        `has_room` says whether a tenant has fewer unfinished jobs than a number.
        """
        self._authenticator = authenticator
        self._rules = rules
        self._has_room = has_room
        #: For each tenant: the tokens in its bucket, and the monotonic time of that count.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def caller(self, request: Request[Any, Any, Any]) -> Caller:
        """Authenticates a request; returns its tenant and whether a user's token came with it."""
        tenants = header_values(request.scope, TENANT_HEADER)
        if self._authenticator is None:
            _check_local(header_values(request.scope, "host"))
            return Caller(str(tenant(tenants)), has_subject=True)
        authorization = header_values(request.scope, "authorization")
        return await self._authenticator.authenticate(authorization, tenants)

    def check_served(self, instance: Instance) -> None:
        """Checks that jobs of this item type and job type are accepted."""
        rules = self._rules
        if rules.item_types and instance.item_type not in rules.item_types:
            raise HttpError(
                Code.ITEM_TYPE_NOT_SERVED, f"Items of type {instance.item_type} are not served."
            )
        if rules.job_types and instance.job_type not in rules.job_types:
            raise HttpError(
                Code.JOB_TYPE_NOT_SERVED, f"Jobs of type {instance.job_type} are not served."
            )

    def check_subject(self, caller: Caller, invoke_type: InvokeType) -> None:
        """Checks that a create carries a subject token if its invoke type requires one."""
        if invoke_type in self._rules.subject_required and not caller.has_subject:
            raise HttpError(Code.AUTH_ERROR, f"A {invoke_type} job must come with a subject token.")

    def check_limits(self, tenant_id: str) -> None:
        """Checks that the tenant may create one more job now."""
        most = self._rules.tenant_unfinished_jobs
        if most and not self._has_room(tenant_id, most):
            raise HttpError(
                Code.TOO_MANY_REQUESTS,
                f"The tenant has {most} unfinished jobs, which is the limit. Let some finish.",
            )
        rate = self._rules.tenant_creates_per_s
        if rate and not self._take_token(tenant_id, rate):
            raise HttpError(
                Code.TOO_MANY_REQUESTS, f"The tenant sent more than {rate:g} creates a second."
            )

    def _take_token(self, tenant_id: str, rate: float) -> bool:
        """Takes a token from the tenant's bucket, if there is one.

        A bucket holds the tokens of one second, and at least one token.
        """
        now, full = time.monotonic(), max(rate, 1.0)
        tokens, since = self._buckets.get(tenant_id, (full, now))
        tokens = min(full, tokens + (now - since) * rate)
        if tokens < 1:
            return False
        self._buckets[tenant_id] = tokens - 1, now
        self._buckets.move_to_end(tenant_id)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return True


def subject_token(request: Request[Any, Any, Any]) -> str:
    """The user's token of a request that `AdmissionControl.caller` has accepted."""
    return token_pair(header_values(request.scope, "authorization")).subject


def _check_local(hosts: list[str]) -> None:
    """Checks that a request without authentication names this machine.

    A page of the internet can have a browser here send requests to 127.0.0.1, but only under the
    page's own name. Raises `HttpError`.
    """
    if not (len(hosts) == 1 and names_loopback(hosts[0])):
        raise HttpError(
            Code.AUTH_ERROR,
            "Without authentication the facade answers only to localhost and loopback addresses. "
            f"The Host header must be one of them: {', '.join(hosts)[:128] or 'there is none'}.",
        )
