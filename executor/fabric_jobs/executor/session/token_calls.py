"""Calls of `GetAccessToken` at the facade that the session is connected to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.contract.errors import ErrorExtendedInformation, ErrorSource, NameValuePair
from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.runtime.channels import error_info
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub

#: Seconds that one call may take.
CALL_TIMEOUT_S = 15.0
#: Seconds for which a call is repeated while the facades or the authority can't be reached.
TOKEN_TIMEOUT_S = 60.0
#: The error's code, source and permanence for each reason of a facade.
_ERRORS = {
    "NO_USER_TOKEN": ("NoUserToken", ErrorSource.USER, True),
    "ON_BEHALF_OF_OFF": ("OnBehalfOfOff", ErrorSource.SYSTEM, True),
    "TOKEN_REFUSED": ("TokenRefused", ErrorSource.SYSTEM, True),
    "OUT_OF_BOUNDS": ("TokenRefused", ErrorSource.SYSTEM, True),
    "AUTH_UI_REQUIRED": ("AuthUIRequired", ErrorSource.SYSTEM, False),
    "NOT_HOLDER": ("NotHolder", ErrorSource.SYSTEM, False),
}
_OTHER = ("TokenUnavailable", ErrorSource.SYSTEM, False)
#: The codes after which the call is repeated.
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class _AgainError(Exception):
    """The call had no answer, or the facade can't answer now."""


class TokenCalls:
    """Repeats a call while the facade can't be reached, or can't answer."""

    def __init__(self) -> None:
        self._stub: asyncio.Future[JobStatusServiceStub] | None = None

    @contextmanager
    def use(self, stub: JobStatusServiceStub) -> Iterator[None]:
        """Sends the calls to this facade inside the block."""
        connected = self._connected()
        connected.set_result(stub)
        try:
            yield
        finally:
            self._stub = None

    async def call(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Returns the token. Raises `AccessTokenError`."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_AgainError),
            wait=wait_random_exponential(0.1, max=5),
        )
        last = "no facade is connected"

        async def call_once() -> pb.GetAccessTokenResponse:
            nonlocal last
            try:
                return await self._call(request)
            except _AgainError as error:
                last = str(error)
                raise

        try:
            async with asyncio.timeout(TOKEN_TIMEOUT_S):
                return await retrying(call_once)
        except TimeoutError:
            code, source, permanent = _OTHER
            text = f"No facade gave an access token within {TOKEN_TIMEOUT_S:.0f} s: {last}."
            raise AccessTokenError(text, code=code, source=source, permanent=permanent) from None

    def _connected(self) -> "asyncio.Future[JobStatusServiceStub]":
        if self._stub is None:
            self._stub = asyncio.get_running_loop().create_future()
        return self._stub

    async def _call(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        stub = await asyncio.shield(self._connected())
        task = asyncio.current_task()
        assert task
        try:
            response: pb.GetAccessTokenResponse = await stub.GetAccessToken(
                request, timeout=CALL_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in _AGAIN:
                raise _AgainError(error.details() or error.code().name) from None
            raise _error_of(error) from None
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            # gRPC cancels the calls of a channel that is closed.
            raise _AgainError("the connection to the facade was closed") from None
        return response


def _error_of(error: grpc.aio.AioRpcError) -> AccessTokenError:
    """Returns the error that the handler gets for a facade's error."""
    info = error_info(error)
    code, source, permanent = _ERRORS.get(info.reason, _OTHER)
    message = error.details() or error.code().name
    details: tuple[ErrorExtendedInformation, ...] = ()
    if info.reason == "AUTH_UI_REQUIRED":
        values = dict(info.metadata)
        details = (
            ErrorExtendedInformation(
                error_code=values.pop("error", ""),
                message=message,
                additional_parameters=tuple(
                    NameValuePair(name, value) for name, value in sorted(values.items())
                ),
            ),
        )
    return AccessTokenError(message, code=code, source=source, permanent=permanent, details=details)
