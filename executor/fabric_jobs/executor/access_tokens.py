"""Access tokens for handlers: of the user who requested the job, or of the workload itself.

A facade gives them, and only to the executor that holds the attempt. They are kept in memory until
shortly before they expire, and nowhere else.
"""

import asyncio
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds before its expiry at which a token is replaced.
MARGIN_S = 300.0
#: The margin is at most this fraction of the time for which a new token is valid.
MARGIN_PART = 0.25
#: The scope of Fabric's own API.
FABRIC_SCOPE = "https://analysis.windows.net/powerbi/api/.default"


class TokenKind(Enum):
    """Whose token it is."""

    #: The token of the user who requested the job.
    USER = pb.TOKEN_KIND_USER
    #: The token of the workload itself, in the tenant of its publisher.
    APP = pb.TOKEN_KIND_APP


class AccessToken(NamedTuple):
    """An access token, with the fields of `azure.core.credentials.AccessToken`."""

    token: str
    #: When it expires, by this machine's clock, in seconds since 1970.
    expires_on: int

    def __repr__(self) -> str:
        return f"AccessToken(token=***, expires_on={self.expires_on})"


#: Asks for a token. The arguments are its kind, its scope, and a claims challenge, which may be
#: empty. Any thread may call it.
RequestToken = Callable[[TokenKind, str, str], "Future[AccessToken]"]


class PendingText:
    """A text that is made from tokens. An `async def` handler awaits it.

    A `def` handler calls `result()`.
    """

    def __init__(
        self, tokens: Sequence["Future[AccessToken]"], make: Callable[[Sequence[str]], str]
    ) -> None:
        """`make` makes the text from the tokens."""
        self._tokens = tokens
        self._make = make

    def __await__(self) -> Generator[object, None, str]:
        return self._wait().__await__()

    async def _wait(self) -> str:
        return self._make([(await asyncio.wrap_future(one)).token for one in self._tokens])

    def result(self) -> str:
        """Waits for the text in a thread. Raises `AccessTokenError`."""
        return self._make([_wait_in_thread(one).token for one in self._tokens])


class Credential:
    """A token credential of the Azure SDK: `azure.core.credentials.TokenCredential`.

    It works in every thread except the thread of the event loop.
    """

    def __init__(self, request: RequestToken) -> None:
        self._request = request

    def get_token(self, *scopes: str, claims: str | None = None, **_: object) -> AccessToken:
        """Returns a token of the user for the scope. Raises `AccessTokenError`."""
        return _wait_in_thread(self._request(TokenKind.USER, _only(scopes), claims or ""))

    def close(self) -> None:
        """Does nothing: there is nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCredential:
    """A token credential of the Azure SDK: `azure.core.credentials_async.AsyncTokenCredential`."""

    def __init__(self, request: RequestToken) -> None:
        self._request = request

    async def get_token(self, *scopes: str, claims: str | None = None, **_: object) -> AccessToken:
        """Returns a token of the user for the scope. Raises `AccessTokenError`."""
        request = self._request(TokenKind.USER, _only(scopes), claims or "")
        return await asyncio.wrap_future(request)

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


class TokenClient(Protocol):
    """Gets an access token from the facades."""

    async def access_token(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Returns the facade's response. Raises `AccessTokenError`."""


class RunTokens:
    """The access tokens of one run. It must be created in the event loop."""

    def __init__(self, job_id: str, attempt: int, client: TokenClient) -> None:
        self._job_id = job_id
        self._attempt = attempt
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._process_id = os.getpid()
        #: By kind and scope: the token, and when it is replaced, by the loop's time.
        self._tokens: dict[tuple[TokenKind, str], tuple[AccessToken, float]] = {}
        self._locks: dict[tuple[TokenKind, str], asyncio.Lock] = {}
        #: By kind and scope: the claims of the last request that failed, its error, and when it
        #: failed, by the loop's time.
        self._failures: dict[tuple[TokenKind, str], tuple[str, ErrorResponse, float]] = {}

    def request(self, kind: TokenKind, scope: str, claims: str = "") -> "Future[AccessToken]":
        """Asks for a token, in any thread. The future raises `AccessTokenError`."""
        if os.getpid() != self._process_id:
            return refuse_after_fork()  # the loop does not run here, so no answer would come
        return asyncio.run_coroutine_threadsafe(self._get(kind, scope, claims), self._loop)

    async def _get(self, kind: TokenKind, scope: str, claims: str) -> AccessToken:
        key = kind, scope
        begin = self._loop.time()
        # One request at a time for a scope: the others find its token, or get its error.
        async with self._locks.setdefault(key, asyncio.Lock()):
            if failure := self._failures.get(key):
                failed_claims, error, failed_at = failure
                if failed_claims == claims and failed_at > begin:
                    raise AccessTokenError.of(error)
            known, replaced_at = self._tokens.get(key, (None, 0.0))
            # The wall clock counts too: the loop's time stands still in a suspended machine.
            is_new = self._loop.time() < replaced_at
            if known and not claims and is_new and time.time() < known.expires_on:
                return known
            request = pb.GetAccessTokenRequest(
                job_id=self._job_id,
                attempt=self._attempt,
                scope=scope,
                kind=kind.value,
                claims=claims,
            )
            try:
                response = await self._client.access_token(request)
            except AccessTokenError as error:
                self._failures[key] = claims, error.response, self._loop.time()
                raise
            left_s = response.expires_in.ToMilliseconds() / 1000
            token = AccessToken(response.access_token, int(time.time() + left_s))
            kept_s = left_s - min(MARGIN_S, MARGIN_PART * left_s)
            self._tokens[key] = token, self._loop.time() + kept_s
            return token


def refuse_after_fork() -> "Future[AccessToken]":
    """Refuses a token in a process that a handler forked."""
    refused: Future[AccessToken] = Future()
    text = "A process that a handler forked gets no access token. Get it in the handler itself."
    refused.set_exception(AccessTokenError(text, code="TokenUnavailable", permanent=True))
    return refused


def _only(scopes: Sequence[str]) -> str:
    if len(scopes) != 1:
        raise ValueError(f"Ask for one scope at a time, and not for {len(scopes)}.")
    return scopes[0]


def _wait_in_thread(token: "Future[AccessToken]") -> AccessToken:
    if asyncio._get_running_loop() is not None:
        token.cancel()
        raise RuntimeError(
            "This call would block the event loop. Await it, use job.async_credential(), or call "
            "it by asyncio.to_thread."
        )
    return token.result()
