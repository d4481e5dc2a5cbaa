"""Tokens on behalf of users: the exchange when a job is accepted, and access tokens while it runs.

Rule 1: a refused exchange accepts nothing, and an authority that is away is tried again within the
deadline of a command. Then the answer is 503: nothing was accepted, and repeating is safe.
Rule 2: one exchange at a time for a job, a scope and a claims challenge. Its access token is used
until shortly before it expires, and forgotten when the job is final.
Rule 3: the callers check who may have a token. Here nobody is refused.
"""

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.facade import metrics
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason, map_log_errors
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    GrantMissingError,
    NoGrantError,
    TokenRefusedError,
)
from fabric_jobs.facade.on_behalf_of.grants import Grants
from fabric_jobs.facade.on_behalf_of.token import Token
from fabric_jobs.facade.replica import Change
from fabric_jobs.facade.sealing import SealedError

if TYPE_CHECKING:
    from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient

log = logging.getLogger("fabric_jobs.grants")

#: Seconds before its expiry from which on an access token is replaced; at most this part of its
#: lifetime.
MARGIN_S = 300.0
MARGIN_PART = 0.25
#: Bounds of the access tokens that are kept in memory: the jobs, and the scopes of one of them. A
#: token takes about 3 KB.
MAX_JOBS = 5000
MAX_SCOPES = 16

#: The job's grant, which is empty for the workload's own token, and the scope.
_Key = tuple[str, str]


class OnBehalfOf:
    """Exchanges users' tokens, and gives access tokens for the jobs that they started."""

    def __init__(
        self, client: "ConfidentialClient", grants: Grants, scope: str, deadline_s: float
    ) -> None:
        """`scope` is the scope of the first exchange; `deadline_s` is that of a command."""
        self._client = client
        self._grants = grants
        self._scope = scope
        self._deadline_s = deadline_s
        #: By grant and by scope; the grant that was not used for longest comes first.
        self._tokens: OrderedDict[str, dict[str, Token]] = OrderedDict()
        #: By grant, scope and claims.
        self._requests: dict[tuple[str, str, str], asyncio.Task[Token]] = {}

    async def accept(self, tenant_id: str, job_id: str, subject_token: str) -> str:
        """Exchanges the user's token, keeps what can be refreshed, and returns the grant's id.

        Raises `InteractionRequiredError` and `UnavailableError`. Then nothing was accepted.
        """
        grant_id = str(uuid.uuid4())
        with map_log_errors():
            try:
                token = await self._ask(
                    lambda: self._client.exchange(tenant_id, subject_token, self._scope)
                )
                if token.refresh_token is None:
                    raise TokenRefusedError("The authority gave no refresh token.")
            except TokenRefusedError as error:
                raise UnavailableError(UnavailableReason.EXCHANGE_REFUSED, str(error)) from None
            await self._grants.write(grant_id, tenant_id, job_id, token.refresh_token)
        self._keep((grant_id, self._scope), token)
        return grant_id

    def discard(self, grant_id: str) -> None:
        """Deletes a grant whose create found its job: the job has a grant of its own."""
        self._grants.forget(grant_id)
        self._tokens.pop(grant_id, None)

    async def user_token(self, job: Job, scope: str, claims: str = "") -> Token:
        """Returns an access token of the job's user for the scope.

        `claims` is the claims challenge of a resource that has refused the last token.
        Raises `TokenError` and `UnavailableError`.
        """
        grant_id = job.state.grant_id
        if not grant_id:
            raise NoGrantError(job.state.retry_of)
        key = grant_id, scope
        return await self._token(key, claims, lambda: self._refresh(job, scope, claims))

    async def app_token(self, scope: str) -> Token:
        """Returns an access token of the workload itself. Raises as `user_token` does."""
        return await self._token(("", scope), "", lambda: self._client.app_token(scope))

    def on_change(self, change: Change) -> None:
        """Forgets the tokens of a job that is final now."""
        job = change.stored.job
        if job.final and job.state.grant_id:
            self._tokens.pop(job.state.grant_id, None)

    async def _token(self, key: _Key, claims: str, ask: Callable[[], Awaitable[Token]]) -> Token:
        grant_id, scope = key
        known = self._tokens.get(grant_id, {}).get(scope)
        if known and not claims and time.time() < _renew_at(known):
            self._tokens.move_to_end(grant_id)
            return known
        # The resource would refuse a token that was requested without the claims.
        request = self._requests.get((*key, claims))
        if request is None:
            request = self._requests[*key, claims] = asyncio.create_task(
                self._request(key, claims, ask), name="get an access token"
            )
            # Every caller may be gone before it fails.
            request.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(request)

    async def _request(self, key: _Key, claims: str, ask: Callable[[], Awaitable[Token]]) -> Token:
        try:
            with map_log_errors():
                token = await self._ask(ask)
            self._keep(key, token)
            return token
        finally:
            del self._requests[*key, claims]

    async def _refresh(self, job: Job, scope: str, claims: str) -> Token:
        grant_id = job.state.grant_id
        assert grant_id
        try:
            refresh_token = await self._grants.refresh_token(job)
        except SealedError as error:
            metrics.UNOPENED_SECRETS.add(1, error.reason)
            log.error("job %s: the user's grant can't be opened. %s", job.job_id, error)
            raise UnavailableError(
                UnavailableReason.SEALED, f"The user's grant can't be opened. {error}"
            ) from error
        if refresh_token is None:
            raise GrantMissingError
        tenant_id = job.state.tenant_id
        token = await self._client.refresh(tenant_id, refresh_token, scope, claims)
        if token.refresh_token and token.refresh_token != refresh_token:
            # The token at hand stays good if Kafka is away, and so does the old refresh token.
            with suppress(LogUnavailableError):
                await self._grants.write(grant_id, tenant_id, job.job_id, token.refresh_token)
        return token

    async def _ask(self, ask: Callable[[], Awaitable[Token]]) -> Token:
        """Asks the authority, again while it is away, until the deadline."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AuthorityAwayError),
            wait=wait_random_exponential(0.1, max=1),
        )
        away: AuthorityAwayError | None = None

        async def ask_once() -> Token:
            nonlocal away
            try:
                return await ask()
            except AuthorityAwayError as error:
                away = error
                raise

        try:
            async with asyncio.timeout(self._deadline_s):
                return await retrying(ask_once)
        except TimeoutError:
            raise UnavailableError(
                UnavailableReason.AUTHORITY_UNREACHABLE,
                str(away or "The authority did not answer in time.")
                + " Send the request again: repeating is safe.",
            ) from None

    def _keep(self, key: _Key, token: Token) -> None:
        grant_id, scope = key
        scopes = self._tokens.setdefault(grant_id, {})
        scopes.pop(scope, None)
        # Without the refresh token, which stays sealed.
        scopes[scope] = Token(
            access_token=token.access_token, given_at=token.given_at, expires_at=token.expires_at
        )
        if len(scopes) > MAX_SCOPES:
            del scopes[next(iter(scopes))]
        self._tokens.move_to_end(grant_id)
        while len(self._tokens) > MAX_JOBS:
            self._tokens.popitem(last=False)


def _renew_at(token: Token) -> float:
    lifetime_s = token.expires_at - token.given_at
    return token.expires_at - min(MARGIN_S, MARGIN_PART * lifetime_s)
