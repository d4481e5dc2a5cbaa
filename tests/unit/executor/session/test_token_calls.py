"""Calls of `GetAccessToken`: repeated while facades are away, and their errors for handlers."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyProto
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.executor.session import token_calls
from fabric_jobs.executor.session.token_calls import TokenCalls
from fabric_jobs.status.v1 import job_status_pb2 as pb

REQUEST = pb.GetAccessTokenRequest(scope="scope")


def failure(
    code: grpc.StatusCode, reason: str = "", metadata: dict[str, str] | None = None
) -> grpc.aio.AioRpcError:
    """The error of a call, with an `ErrorInfo` if there is a reason."""
    detail = AnyProto()
    detail.Pack(ErrorInfo(reason=reason, metadata=metadata or {}))
    status = Status(code=code.value[0], details=[detail])
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="the details")


class Stub:
    """A facade that raises these errors, one for each call, and then gives a token."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]

    async def GetAccessToken(  # noqa: N802
        self, request: pb.GetAccessTokenRequest, timeout: float
    ) -> pb.GetAccessTokenResponse:
        """Raises the next error, or gives the token."""
        if self.errors:
            raise self.errors.pop(0)
        return pb.GetAccessTokenResponse(access_token="token")


async def call(*errors: BaseException) -> pb.GetAccessTokenResponse:
    """Calls a facade that raises these errors first."""
    calls = TokenCalls()
    with calls.use(Stub(*errors)):  # type: ignore[arg-type] # a stand-in
        return await calls.call(REQUEST)


async def test_call_is_repeated_while_the_facade_or_the_authority_is_away() -> None:
    """gRPC cancels the calls of a channel that was closed."""
    away = (
        failure(grpc.StatusCode.UNAVAILABLE, "AUTHORITY_UNREACHABLE"),
        failure(grpc.StatusCode.DEADLINE_EXCEEDED),
        asyncio.CancelledError(),
    )

    assert (await call(*away)).access_token == "token"


async def test_call_without_a_facade_waits_for_the_next_one() -> None:
    """A run goes on while its executor reconnects."""
    calls = TokenCalls()
    with calls.use(Stub()):  # type: ignore[arg-type]
        pass
    waiting = asyncio.create_task(calls.call(REQUEST))
    await asyncio.sleep(0.01)
    assert not waiting.done()

    with calls.use(Stub()):  # type: ignore[arg-type]
        assert (await waiting).access_token == "token"


async def test_call_of_a_cancelled_handler_ends() -> None:
    """The call is not repeated, as it is after the `CancelledError` of a closed channel."""
    calls = TokenCalls()
    waiting = asyncio.create_task(calls.call(REQUEST))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    assert waiting.cancelled()


async def test_facades_that_stay_away_end_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is not permanent, and has the last reason."""
    monkeypatch.setattr(token_calls, "TOKEN_TIMEOUT_S", 0.3)
    with pytest.raises(AccessTokenError, match="the details") as error:
        await call(*(failure(grpc.StatusCode.UNAVAILABLE) for _ in range(1000)))

    assert (error.value.code, error.value.response.is_permanent) == ("TokenUnavailable", False)


@pytest.mark.parametrize(
    ("reason", "code", "permanent"),
    [
        ("NO_USER_TOKEN", "NoUserToken", True),
        ("ON_BEHALF_OF_OFF", "OnBehalfOfOff", True),
        ("TOKEN_REFUSED", "TokenRefused", True),
        ("OUT_OF_BOUNDS", "TokenRefused", True),
        ("NOT_HOLDER", "NotHolder", False),
        ("A_LATER_REASON", "TokenUnavailable", False),
    ],
)
async def test_refusal_becomes_the_handlers_error(reason: str, code: str, permanent: bool) -> None:
    """The error has the facade's text."""
    with pytest.raises(AccessTokenError, match="the details") as error:
        await call(failure(grpc.StatusCode.FAILED_PRECONDITION, reason))

    assert (error.value.code, error.value.response.is_permanent) == (code, permanent)
    assert error.value.details == ()


async def test_consent_that_is_needed_has_fabrics_details() -> None:
    """A create that needs consent gets the same details."""
    metadata: dict[str, Any] = {
        "error": "interaction_required",
        "additionalScopesToConsent": "scope",
        "claimsForCondtionalAccessPolicy": "{}",
    }
    with pytest.raises(AccessTokenError) as error:
        await call(failure(grpc.StatusCode.FAILED_PRECONDITION, "AUTH_UI_REQUIRED", metadata))

    (detail,) = error.value.details
    assert error.value.code == "AuthUIRequired"
    assert (detail.error_code, detail.message) == ("interaction_required", "the details")
    assert {pair.name: pair.value for pair in detail.additional_parameters} == {
        "additionalScopesToConsent": "scope",
        "claimsForCondtionalAccessPolicy": "{}",
    }
