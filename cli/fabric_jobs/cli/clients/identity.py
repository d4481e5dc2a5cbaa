"""How a command authenticates as Fabric: with tokens of the local issuer, or without tokens."""

import getpass
import os
import socket
from collections.abc import AsyncGenerator

import httpx

from fabric_jobs.cli.errors import InputError

#: The tenant of jobs for which the user names no tenant.
DEVELOPMENT_TENANT = "de000000-0000-4000-8000-000000000001"


class NoTokensError(InputError):
    """The issuer gives no tokens."""


class LocalIdentity(httpx.Auth):
    """Fabric with the tokens of a user of the tenant. Expired tokens are replaced."""

    def __init__(self, authority: str, tenant_id: str) -> None:
        self._authority = authority
        self._tenant_id = tenant_id
        self._headers: dict[str, str] | None = None

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sends the request with tokens. Sends it again with new tokens if they were refused."""
        known = self._headers
        request.headers.update(known or await self._fetch())
        response = yield request
        if known and response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers.update(await self._fetch())
            yield request

    async def _fetch(self) -> dict[str, str]:
        self._headers = await fetch_headers(self._authority, tenant=self._tenant_id)
        return self._headers


class TenantOnly(httpx.Auth):
    """A tenant without tokens, which a facade accepts if its authentication is off."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sends the request with its tenant."""
        request.headers["x-ms-client-tenant-id"] = self._tenant_id
        yield request


async def fetch_headers(authority: str, **query: str) -> dict[str, str]:
    """Returns the headers that Fabric would send, from the local issuer.

    The query has `tenant`, and optionally `version` and `subject`. Raises `NoTokensError`.
    """
    url = f"{authority}/headers"
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = (await client.get(url, params=query)).raise_for_status()
        headers: dict[str, str] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise NoTokensError(
            f"The local token issuer at {url} gives no tokens ({error}). Start it with "
            "`fabric-jobs dev`, or name another issuer with --authority."
        ) from error
    return headers


def operator_name() -> str:
    """Returns the user and the machine of this process, for the record of what operators change."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"
