"""Who a command is for the facade: Fabric, by tokens of the local issuer."""

from collections.abc import AsyncGenerator

import httpx

from fabric_jobs.cli.errors import InputError

#: Stands for a customer's tenant where there is none.
DEVELOPMENT_TENANT = "de000000-0000-4000-8000-000000000001"


class NoTokensError(InputError):
    """The issuer gives no tokens; the message says what to do."""


class LocalIdentity(httpx.Auth):
    """Fabric, acting for a user of the tenant; new tokens are asked for when the old ones end."""

    def __init__(self, authority: str, tenant_id: str) -> None:
        self._authority = authority
        self._tenant_id = tenant_id
        self._headers: dict[str, str] | None = None

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with its tokens; once more with new ones where those were not taken."""
        known = self._headers
        request.headers.update(known or await self._asked())
        response = yield request
        if known and response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers.update(await self._asked())
            yield request

    async def _asked(self) -> dict[str, str]:
        self._headers = await fetch_headers(self._authority, tenant=self._tenant_id)
        return self._headers


class TenantOnly(httpx.Auth):
    """Whom a facade believes that has authentication off."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with its tenant."""
        request.headers["x-ms-client-tenant-id"] = self._tenant_id
        yield request


async def fetch_headers(authority: str, **asked: str) -> dict[str, str]:
    """The headers that Fabric would send. Raises `NoTokensError`."""
    url = f"{authority}/headers"
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = (await client.get(url, params=asked)).raise_for_status()
        headers: dict[str, str] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise NoTokensError(
            f"The local issuer at {url} gives no tokens ({error}). Start it with "
            "`fabric-jobs dev`, or name another with --authority."
        ) from error
    return headers
