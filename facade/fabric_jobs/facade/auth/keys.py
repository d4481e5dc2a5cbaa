"""The authority's signing keys, refreshed regularly, and at once when a key id is unknown."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from fabric_jobs.runtime.tls import require_tls_1_2

log = logging.getLogger("fabric_jobs.auth")

#: Seconds between two fetches for unknown key ids, so that forged ids cannot load the authority.
UNKNOWN_S = 10.0
#: Seconds that a fetch of the keys may take in all, which is two HTTP requests.
TIMEOUT_S = 5.0
#: Bytes that a document of the authority may have. Entra's has fewer than 50,000.
MAX_DOCUMENT_BYTES = 1024 * 1024
#: The issuer of v1 tokens, unless the authority's configuration names one. National clouds do.
V1_ISSUER = "https://sts.windows.net/{tenantid}/"
#: Seconds that a start waits for the authority.
START_S = 60.0
#: Errors of `fetch_document` and of the use of its result: the authority is away, or its answer is
#: malformed.
FETCH_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    TimeoutError,
)


class AuthorityError(Exception):
    """The authority's keys can't be fetched. The message names the address."""


class Key(NamedTuple):
    """A signing key, and the issuer that it is bound to; None if it may sign for every issuer."""

    key: PyJWK
    issuer: str | None


class Keys:
    """The authority's RSA keys, by key id."""

    def __init__(
        self,
        authority: str,
        refresh_s: float,
        on_change: Callable[[], None] = lambda: None,
        path: str = "/common/.well-known/openid-configuration",
    ) -> None:
        """`refresh_s` is the number of seconds between two refreshes.

        `path` is that of the authority's OpenID configuration.

        `on_change` is called when a fetch finds other keys, or another issuer, than the last one.
        """
        self._refresh_s = refresh_s
        self.v1_issuer = V1_ISSUER
        self._url = f"{authority}{path}"
        self._on_change = on_change
        self._keys: dict[str, Key] = {}
        self._published: object = None
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[int] | None = None
        #: The error of the last fetch for an unknown key; None if a later fetch succeeded.
        self._fetch_error: BaseException | None = None

    async def start(self) -> None:
        """Fetches the keys when the facade starts, and retries for `START_S` seconds.

        Raises `AuthorityError`.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AuthorityError),
            wait=wait_random_exponential(0.2, max=5),
            stop=stop_after_delay(START_S),
            before_sleep=_log_retry,
            reraise=True,
        )
        await retrying(self.fetch)

    async def run(self) -> None:
        """Refreshes the keys until cancelled. If a refresh fails, the old keys stay in use."""
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self.fetch()
            except AuthorityError as error:
                log.warning("the keys could not be refreshed: %s", error)

    async def find(self, key_id: str) -> Key | None:
        """The key of this id, or None if the authority has no such key.

        Fetches the keys once if the id is unknown. Raises `AuthorityError` if that fails, because
        the id may then be that of a new key.
        """
        if key := self._keys.get(key_id):
            return key
        if self._fetching is None:
            if time.monotonic() - self._fetched_at < UNKNOWN_S:
                if self._fetch_error:
                    raise AuthorityError(str(self._fetch_error))
                return None
            self._fetched_at = time.monotonic()
            self._fetching = asyncio.create_task(self.fetch(), name="fetch an unknown key")
            self._fetching.add_done_callback(self._finish_fetch)
        await asyncio.shield(self._fetching)
        return self._keys.get(key_id)

    def _finish_fetch(self, task: asyncio.Task[int]) -> None:
        self._fetching = None
        if not task.cancelled():
            self._fetch_error = task.exception()  # Every caller may have been cancelled meanwhile.

    async def fetch(self) -> int:
        """Fetches the keys once; returns their number. Raises `AuthorityError`."""
        try:
            async with create_client() as client:
                configuration = await fetch_document(client, self._url)
                found = await fetch_document(client, configuration["jwks_uri"])
            v1_issuer = _v1_issuer(configuration)
            issuers = {key.get("kid"): key.get("issuer") for key in found["keys"]}
            keys = {
                key.key_id: Key(key, issuers[key.key_id])
                for key in PyJWKSet.from_dict(found).keys
                if key.key_id and key.key_type == "RSA"
            }
        except (*FETCH_ERRORS, PyJWTError) as error:
            raise AuthorityError(
                f"The authority's keys can't be fetched from {self._url}: {error!r}."
            ) from error
        published = v1_issuer, found["keys"]
        if published != self._published:
            self._on_change()
        self.v1_issuer, self._keys = v1_issuer, keys
        self._published, self._fetch_error = published, None
        return len(keys)


@asynccontextmanager
async def create_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the authority, for `TIMEOUT_S` seconds in all. Raises `TimeoutError`."""
    context = httpx.create_ssl_context()
    require_tls_1_2(context)
    async with (
        asyncio.timeout(TIMEOUT_S),
        httpx.AsyncClient(verify=context, timeout=TIMEOUT_S) as client,
    ):
        yield client


async def fetch_document(
    client: httpx.AsyncClient, url: str, form: Mapping[str, str] | None = None
) -> Any:
    """The JSON document at the URL, or the answer to a form that is posted there.

    Raises the errors in `FETCH_ERRORS`.
    """
    method = "POST" if form else "GET"
    # Without compression, because a compressed document may be a thousand times as large.
    headers = {"Accept-Encoding": "identity"}
    async with client.stream(method, url, data=form, headers=headers) as response:
        response.raise_for_status()
        document = bytearray()
        async for part in response.aiter_raw():
            document += part
            if len(document) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"{url} has more than {MAX_DOCUMENT_BYTES} bytes")
    return json.loads(document)


def _v1_issuer(configuration: dict[str, Any]) -> str:
    """The issuer of v1 tokens by the authority's OpenID configuration, which is that of v1."""
    issuer = configuration.get("issuer")
    if isinstance(issuer, str) and "{tenantid}" in issuer and not issuer.endswith("/v2.0"):
        return issuer
    return V1_ISSUER


def _log_retry(state: RetryCallState) -> None:
    assert state.outcome is not None
    log.warning("%s Trying again in %.1f s.", state.outcome.exception(), state.upcoming_sleep)
