"""The authority's signing keys: held, refreshed in the background, and once for an unknown one."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

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

log = logging.getLogger("fabric_jobs.auth")

REFRESH_S = 3600.0
#: An unknown key id is looked for at most this often: forged ids must not become a load.
UNKNOWN_S = 10.0
TIMEOUT_S = 5.0
#: How long a start waits for the authority.
START_S = 60.0
#: What comes of an authority that is away, or whose answer makes no sense.
_FAULTS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    PyJWTError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class AuthorityError(Exception):
    """The authority's keys can't be had; the message names its address."""


class Key(NamedTuple):
    """A key, and the issuer whose tokens alone it signs, if it says so."""

    key: PyJWK
    issuer: str | None


class Keys:
    """The keys by their id."""

    def __init__(self, authority: str, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when the set of keys is another than before."""
        self._url = f"{authority}/common/.well-known/openid-configuration"
        self._changed = changed
        self._keys: dict[str, Key] = {}
        self._published: object = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[int] | None = None
        #: Why the last look for an unknown key found nothing out, unless another did since.
        self._failed: BaseException | None = None

    async def start(self) -> None:
        """Fetches the keys for the first time. Raises `AuthorityError`."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(AuthorityError),
            wait=wait_random_exponential(0.2, max=5),
            stop=stop_after_delay(START_S),
            before_sleep=_report,
            reraise=True,
        )
        await retrying(self.fetch)

    async def run(self) -> None:
        """Refreshes the keys until cancelled; those that are held serve while that fails."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.fetch()
            except AuthorityError as error:
                log.warning("the keys could not be refreshed: %s", error)

    async def find(self, key_id: str) -> Key | None:
        """The key of this id, asking the authority once if it is not held.

        Raises `AuthorityError` where an unknown key can't be told from a new one.
        """
        if key := self._keys.get(key_id):
            return key
        if self._asking is None:
            if time.monotonic() - self._asked_at < UNKNOWN_S:
                if self._failed:
                    raise AuthorityError(str(self._failed))
                return None
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self.fetch(), name="fetch an unknown key")
            self._asking.add_done_callback(self._asked)
        await asyncio.shield(self._asking)
        return self._keys.get(key_id)

    def _asked(self, task: asyncio.Task[int]) -> None:
        self._asking = None
        if not task.cancelled():
            self._failed = task.exception()  # those who asked may have gone

    async def fetch(self) -> int:
        """Asks the authority once; how many keys it has. Raises `AuthorityError`."""
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                configuration = (await client.get(self._url)).raise_for_status().json()
                found = (await client.get(configuration["jwks_uri"])).raise_for_status().json()
            issuers = {key.get("kid"): key.get("issuer") for key in found["keys"]}
            keys = {
                key.key_id: Key(key, issuers[key.key_id])
                for key in PyJWKSet.from_dict(found).keys
                if key.key_id and key.key_type == "RSA"
            }
        except _FAULTS as error:
            raise AuthorityError(
                f"The authority's keys can't be had from {self._url}: {error!r}."
            ) from error
        if found["keys"] != self._published:
            self._changed()
        self._keys, self._published, self._failed = keys, found["keys"], None
        return len(keys)


def _report(state: RetryCallState) -> None:
    assert state.outcome is not None
    log.warning("%s Again in %.1f s.", state.outcome.exception(), state.upcoming_sleep)
