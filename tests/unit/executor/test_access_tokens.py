"""The access tokens of a run: cached, asked for once at a time, in tasks and in threads."""

import asyncio
import os
import pickle
import time
from types import SimpleNamespace
from typing import Any

import pytest

from fabric_jobs.executor import access_tokens
from fabric_jobs.executor.access_tokens import (
    AccessToken,
    AsyncCredential,
    Credential,
    RunTokens,
    TokenKind,
)
from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.executor.jobs import Job
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.jobs import make_job

SCOPE = "https://storage.azure.com/.default"


class Facade:
    """Gives numbered tokens."""

    def __init__(self, lifetime_s: float = 3600.0) -> None:
        self.lifetime_s = lifetime_s
        self.requests: list[pb.GetAccessTokenRequest] = []
        self.error: Exception | None = None

    async def access_token(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Gives the next token."""
        self.requests.append(request)
        number = len(self.requests)
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        response = pb.GetAccessTokenResponse(access_token=f"token-{number}")
        response.expires_in.FromMilliseconds(int(self.lifetime_s * 1000))
        return response


def job(facade: Facade) -> Job[Any]:
    """A job whose tokens come from the facade."""
    tokens = RunTokens("the job", 3, facade)
    return make_job(_request_token=tokens.request)


async def test_token_is_cached_for_each_kind_and_scope() -> None:
    """The request names the attempt, which fences it."""
    facade = Facade()
    ours = job(facade)
    texts = [
        await call
        for call in (
            ours.access_token(SCOPE),
            ours.access_token(SCOPE),
            ours.access_token("another"),
            ours.app_access_token(SCOPE),
        )
    ]

    assert texts == ["token-1", "token-1", "token-2", "token-3"]
    assert [(one.job_id, one.attempt, one.kind) for one in facade.requests] == [
        ("the job", 3, pb.TOKEN_KIND_USER),
        ("the job", 3, pb.TOKEN_KIND_USER),
        ("the job", 3, pb.TOKEN_KIND_APP),
    ]


async def test_token_near_its_expiry_is_replaced() -> None:
    """A handler never gets a token that expires in the next moment."""
    facade = Facade(lifetime_s=0.0)
    ours = job(facade)

    assert [await ours.access_token(SCOPE), await ours.access_token(SCOPE)] == [
        "token-1",
        "token-2",
    ]


@pytest.mark.parametrize("hours", [-2, 2])
async def test_token_is_as_long_valid_whatever_the_wall_clock_shows(
    monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Time is counted from the facade's answer. The Azure SDK compares `expires_on` with the clock
    of its own machine."""
    wall = time.time() + hours * 3600
    monkeypatch.setattr(access_tokens, "time", SimpleNamespace(time=lambda: wall))
    facade = Facade()
    ours = job(facade).async_credential()
    token = await ours.get_token(SCOPE)
    assert token == AccessToken("token-1", int(wall + 3600))
    loop = asyncio.get_running_loop()
    monotonic = loop.time
    for minutes, number in ((54, 1), (56, 2)):
        monkeypatch.setattr(loop, "time", lambda later=minutes * 60: monotonic() + later)
        token = await ours.get_token(SCOPE)
        assert token.token == f"token-{number}"


async def test_token_that_expired_while_the_machine_was_suspended_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the wall clock goes on meanwhile."""
    ours = job(Facade())
    await ours.access_token(SCOPE)
    wake = time.time() + 3601
    monkeypatch.setattr(access_tokens, "time", SimpleNamespace(time=lambda: wake))

    assert await ours.access_token(SCOPE) == "token-2"


async def test_simultaneous_calls_ask_once() -> None:
    """The others find the token of the first."""
    facade = Facade()
    ours = job(facade)

    async def ask() -> str:
        return await ours.access_token(SCOPE)

    assert await asyncio.gather(*(ask() for _ in range(5))) == ["token-1"] * 5
    assert len(facade.requests) == 1


async def test_simultaneous_calls_get_the_error_of_the_first() -> None:
    """Otherwise each call would wait in turn for a minute while no facade answers."""
    facade = Facade()
    facade.error = AccessTokenError("No facade answered.", code="TokenUnavailable")
    ours = job(facade)

    async def ask() -> str:
        return await ours.access_token(SCOPE)

    errors = await asyncio.gather(*(ask() for _ in range(5)), return_exceptions=True)

    assert [str(error) for error in errors] == ["No facade answered."] * 5
    assert len(facade.requests) == 1
    facade.error = None
    assert await ask() == "token-2"


async def test_thread_waits_for_the_result() -> None:
    """A `def` handler has no event loop."""
    ours = job(Facade())

    def handler() -> tuple[str, AccessToken]:
        with ours.credential() as credential:
            return ours.access_token(SCOPE).result(), credential.get_token(SCOPE, tenant_id="t")

    text, token = await asyncio.to_thread(handler)
    assert (text, token.token) == ("token-1", "token-1")
    assert token.expires_on > time.time()


async def test_call_that_would_block_the_event_loop_is_refused() -> None:
    """The call would never end, because the blocked loop fetches the token."""
    ours = job(Facade())
    with pytest.raises(RuntimeError, match=r"job\.async_credential"):
        ours.credential().get_token(SCOPE)
    with pytest.raises(RuntimeError, match="Await it"):
        ours.access_token(SCOPE).result()


async def test_token_in_a_forked_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would answer there, because the event loop does not run."""
    ours = job(Facade())
    monkeypatch.setattr(os, "getpid", lambda: 0)

    with pytest.raises(AccessTokenError, match="forked"):
        await ours.access_token(SCOPE)


def test_access_token_error_survives_pickle() -> None:
    """A pool of `multiprocessing` hangs if it can't unpickle the error of a worker."""
    error = AccessTokenError("Not yours.", code="NotHolder", permanent=True)

    found = pickle.loads(pickle.dumps(error))

    assert (type(found), str(found), found.response) == (
        AccessTokenError,
        "Not yours.",
        error.response,
    )


async def test_async_credential_passes_a_claims_challenge_on() -> None:
    """The cached token was refused, so a new one is asked for."""
    facade = Facade()
    async with job(facade).async_credential() as credential:
        await credential.get_token(SCOPE)
        token = await credential.get_token(SCOPE, claims="{}", enable_cae=True)

    assert token.token == "token-2"
    assert facade.requests[1].claims == "{}"


@pytest.mark.parametrize("scopes", [(), ("one", "two")])
async def test_credential_asked_for_another_number_of_scopes_raises(
    scopes: tuple[str, ...],
) -> None:
    """A token is for one resource."""
    request = RunTokens("the job", 1, Facade()).request
    with pytest.raises(ValueError, match="one scope at a time"):
        await AsyncCredential(request).get_token(*scopes)
    with pytest.raises(ValueError, match="one scope at a time"):
        Credential(request).get_token(*scopes)


async def test_both_tokens_make_the_header_of_the_workload_control_api() -> None:
    """The scheme is Fabric's."""
    facade = Facade()
    header = await job(facade).workload_authorization()

    kinds = {one.kind: f"token-{number}" for number, one in enumerate(facade.requests, 1)}
    assert header == (
        f'SubjectAndAppToken1.0 subjectToken="{kinds[pb.TOKEN_KIND_USER]}", '
        f'appToken="{kinds[pb.TOKEN_KIND_APP]}"'
    )


async def test_refusal_reaches_the_handler_and_the_next_call_asks_again() -> None:
    """An error is not cached."""
    facade = Facade()
    facade.error = AccessTokenError("no", code="NoUserToken", permanent=True)
    ours = job(facade)
    with pytest.raises(AccessTokenError) as error:
        await ours.access_token(SCOPE)
    facade.error = None

    assert (error.value.code, error.value.response.is_permanent) == ("NoUserToken", True)
    assert await ours.access_token(SCOPE) == "token-2"


def test_repr_of_an_access_token_does_not_show_the_token() -> None:
    """A handler may log the object."""
    assert repr(AccessToken("secret", 1)) == "AccessToken(token=***, expires_on=1)"


def test_job_of_a_tests_own_refuses_tokens() -> None:
    """The error names the kit."""
    with pytest.raises(AccessTokenError, match=r"fabric_jobs\.executor\.testing"):
        make_job().credential().get_token(SCOPE)
    assert TokenKind.USER.value == pb.TOKEN_KIND_USER
