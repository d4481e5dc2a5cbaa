"""The workload as a confidential client of the authority, by Microsoft's library MSAL.

It needs the extra `on-behalf-of`, so import this module only if on-behalf-of is configured.

Rule 1: MSAL blocks, so its calls run in threads: `THREADS` at a time, and `MAX_CALLS` with those
that wait.
Rule 2: nothing of a token is kept here: MSAL's token cache is replaced by one that holds nothing.
Rule 3: a text of an error comes from the authority, and contains no token.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import msal

from fabric_jobs.facade import metrics
from fabric_jobs.facade.on_behalf_of.answers import read_answer
from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    InteractionRequiredError,
    TokenError,
    TokenRefusedError,
)
from fabric_jobs.facade.on_behalf_of.http_client import HttpClient
from fabric_jobs.facade.on_behalf_of.token import Token
from fabric_jobs.runtime.settings import Secret

#: Calls of the authority at the same time.
THREADS = 8
#: Bound of the calls that run or wait for a thread. A further one is refused.
MAX_CALLS = 200
#: Bound of the tenants whose MSAL application is kept, with the tenant's configuration. Beyond it,
#: the one that was not used for longest goes.
MAX_TENANTS = 256

#: What MSAL raises if a request fails, or if it can't read an answer.
_MSAL_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError),
    msal.exceptions.MsalError,
)

# MSAL and its HTTP library log steps at the level `debug`, with what the authority sent.
for _name in ("msal", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)


class HttpCache(dict[str, Any]):
    """The cache of MSAL's HTTP answers, without refusals: a user may consent in the next second.

    It still has what the authority says of its configuration, and its wishes for patience.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if not (key.startswith("POST ") and key.endswith(" 400")):
            super().__setitem__(key, value)


class _NoTokens(msal.TokenCache):  # type: ignore[misc] # MSAL has no annotations
    """A token cache that holds nothing."""

    def add(self, event: Any, now: Any = None) -> None:
        """Adds nothing."""


class ConfidentialClient:
    """Gets tokens for users of any tenant, and for the workload itself. Raises `TokenError`."""

    def __init__(
        self,
        client_id: str,
        credential: Credential,
        authority: str,
        publisher_tenant_id: str,
        ca_file: Path | None,
    ) -> None:
        """`ca_file` holds the authorities that sign the authority's certificate."""
        self._client_id = client_id
        self.credential = credential
        self._authority = authority
        self._publisher_tenant_id = publisher_tenant_id
        self._http_client = HttpClient(ca_file)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="on-behalf-of")
        self._calls = 0
        #: By tenant, with the credential that all of them use, which holds a secret.
        self._apps: OrderedDict[str, Any] = OrderedDict()
        self._used_credential: Any = None
        self._apps_lock = Lock()

    async def exchange(self, tenant_id: str, subject_token: str, scope: str) -> Token:
        """Exchanges a user's token for an access token and a refresh token."""
        return await self._call(
            "on_behalf_of",
            tenant_id,
            scope,
            lambda app: app.acquire_token_on_behalf_of(subject_token, [scope]),
        )

    async def refresh(
        self, tenant_id: str, refresh_token: Secret, scope: str, claims: str = ""
    ) -> Token:
        """Gets an access token for the scope by a refresh token.

        `claims` is the claims challenge of a resource, as JSON.
        """
        return await self._call(
            "refresh_token",
            tenant_id,
            scope,
            lambda app: app.acquire_token_by_refresh_token(
                refresh_token.reveal(), [scope], data={"claims": claims or None}
            ),
        )

    async def app_token(self, scope: str) -> Token:
        """Gets an access token of the workload itself, in the publisher's tenant."""
        return await self._call(
            "client_credentials",
            self._publisher_tenant_id,
            scope,
            lambda app: app.acquire_token_for_client([scope]),
        )

    def close(self) -> None:
        """Lets the calls that run end by themselves, and starts no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http_client.close()

    async def _call(
        self, flow: str, tenant_id: str, scope: str, call: Callable[[Any], dict[str, Any]]
    ) -> Token:
        if self._calls >= MAX_CALLS:
            raise AuthorityAwayError(f"This facade waits for {MAX_CALLS} tokens already.")
        self._calls += 1
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self._call_in_thread, tenant_id, scope, call)
        work.add_done_callback(self._count_down)
        outcome = "abandoned"
        try:
            # Shielded, because a thread can't be cancelled: its slot is free once it has ended.
            token = await asyncio.shield(work)
            outcome = "given"
            return token
        except TokenError as error:
            outcome = _OUTCOMES[type(error)]
            raise
        finally:
            metrics.TOKEN_EXCHANGES.add(1, flow, outcome)

    def _count_down(self, work: asyncio.Future[Token]) -> None:
        self._calls -= 1
        if not work.cancelled():
            work.exception()  # the caller may be gone

    def _call_in_thread(
        self, tenant_id: str, scope: str, call: Callable[[Any], dict[str, Any]]
    ) -> Token:
        given_at = time.time()
        try:
            app = self._app(tenant_id)
        except _MSAL_ERRORS as error:
            raise self._away(error) from None
        try:
            answer = call(app)
        except json.JSONDecodeError as error:
            raise self._away(error) from None
        except ValueError as error:
            # MSAL refuses a wrong request before it sends it, so a repetition can't help.
            raise TokenRefusedError(
                f"MSAL does not ask for a token of {scope} ({type(error).__name__})."
            ) from None
        except _MSAL_ERRORS as error:
            raise self._away(error) from None
        return read_answer(answer, scope, given_at)

    def _away(self, error: Exception) -> AuthorityAwayError:
        # The text of an HTTP library's error can hold a request, so only its kind is told.
        return AuthorityAwayError(
            f"The authority {self._authority} can't be reached, or gives no token now "
            f"({type(error).__name__})."
        )

    def _app(self, tenant_id: str) -> Any:
        """The MSAL application of a tenant. Making one asks the authority for the configuration."""
        with self._apps_lock:
            credential = self.credential.read()
            if credential != self._used_credential:
                self._apps.clear()
                self._used_credential = credential
            if app := self._apps.get(tenant_id):
                self._apps.move_to_end(tenant_id)
                return app
        app = msal.ConfidentialClientApplication(
            self._client_id,
            credential,
            f"{self._authority}/{tenant_id}",
            # The operator has named the authority, so nobody else needs to vouch for it.
            instance_discovery=False,
            http_client=self._http_client,
            http_cache=HttpCache(),
            token_cache=_NoTokens(),
        )
        with self._apps_lock:
            if credential == self._used_credential:
                self._apps[tenant_id] = app
            while len(self._apps) > MAX_TENANTS:
                self._apps.popitem(last=False)
        return app


_OUTCOMES: dict[type[TokenError], str] = {
    InteractionRequiredError: "interaction_required",
    TokenRefusedError: "refused",
    AuthorityAwayError: "away",
}
