"""Tokens on behalf of users, with an authority in memory."""

import asyncio
import time
from typing import Any, cast

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.on_behalf_of import InteractionRequiredError, OnBehalfOf
from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    GrantMissingError,
    Interaction,
    NoGrantError,
    TokenRefusedError,
)
from fabric_jobs.runtime.settings import Secret
from tests.support.controls import MemoryLog
from tests.support.grants import (
    SCOPE,
    FakeClient,
    final,
    job_with_grant,
    new_ring,
    open_grants,
)
from tests.support.lifecycle import JOB, TENANT

OTHER_SCOPE = "https://analysis.windows.net/powerbi/api/.default"


class Parts:
    """The service with its grants, and the client that it uses."""

    def __init__(self, lifetime_s: float = 3600.0, deadline_s: float = 1.0) -> None:
        self.log, self.ring = MemoryLog(), new_ring("one")
        self.client = FakeClient(lifetime_s)
        self.grants = open_grants(self.log, self.ring)
        self.service = OnBehalfOf(cast("Any", self.client), self.grants, SCOPE, deadline_s)

    async def accept(self) -> Any:
        """Accepts a job, and returns it."""
        return job_with_grant(await self.service.accept(TENANT, JOB, "the user's token"))


async def test_accepted_job_gets_the_first_token_without_another_exchange() -> None:
    """The exchange gave this token. Other scopes are refreshed, each once."""
    parts = Parts()
    job = await parts.accept()
    tokens = [await parts.service.user_token(job, scope) for scope in (SCOPE, OTHER_SCOPE) * 2]

    assert [token.access_token.reveal() for token in tokens] == ["access-1", "access-2"] * 2
    assert parts.client.calls == [
        ("exchange", TENANT, "the user's token", SCOPE),
        ("refresh", TENANT, "refresh-1", OTHER_SCOPE),
    ]


async def test_token_near_its_expiry_is_replaced_and_the_refresh_token_written_back() -> None:
    """Another replica goes on with the rotated refresh token."""
    parts = Parts(lifetime_s=0.0)
    job = await parts.accept()
    await parts.service.user_token(job, SCOPE)
    await parts.service.user_token(job, SCOPE)
    other = open_grants(parts.log, parts.ring)

    assert [call[2] for call in parts.client.calls[1:]] == ["refresh-1", "refresh-2"]
    assert await other.refresh_token(job) == Secret("refresh-3")


async def test_token_that_expired_while_the_machine_was_suspended_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the wall clock goes on meanwhile."""
    parts = Parts()
    job = await parts.accept()
    wake = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: wake)
    token = await parts.service.user_token(job, SCOPE)

    assert token.access_token.reveal() == "access-2"


async def test_simultaneous_requests_share_one_exchange() -> None:
    """They are for one job and scope. A caller that is cancelled ends nobody else's request."""
    parts = Parts()
    job = await parts.accept()
    parts.client.may_end.clear()
    requests = [asyncio.create_task(parts.service.user_token(job, OTHER_SCOPE)) for _ in range(5)]
    await asyncio.sleep(0)
    requests[0].cancel()
    await asyncio.sleep(0)
    parts.client.may_end.set()
    tokens = await asyncio.gather(*requests[1:])

    assert len({token.access_token for token in tokens}) == 1
    assert len(parts.client.calls) == 2


async def test_claims_challenge_asks_for_a_new_token() -> None:
    """The resource has refused the token that is cached."""
    parts = Parts()
    job = await parts.accept()
    await parts.service.user_token(job, SCOPE, claims='{"access_token":{}}')

    assert len(parts.client.calls) == 2


async def test_claims_challenge_does_not_share_a_request_without_its_claims() -> None:
    """The resource would also refuse the token of the request without the claims."""
    parts = Parts()
    job = await parts.accept()
    parts.client.may_end.clear()
    requests = [
        asyncio.create_task(parts.service.user_token(job, OTHER_SCOPE, claims))
        for claims in ("", '{"access_token":{}}', "")
    ]
    await asyncio.sleep(0)
    parts.client.may_end.set()
    plain, challenged, shared = await asyncio.gather(*requests)

    assert plain.access_token == shared.access_token != challenged.access_token
    assert len(parts.client.calls) == 3


async def test_authority_that_is_away_is_asked_again_within_the_deadline() -> None:
    """A short absence costs a moment, a long one the create."""
    parts = Parts()
    parts.client.errors = [AuthorityAwayError("away")] * 2
    await parts.accept()
    parts.client.errors = [AuthorityAwayError("away: the reason")] * 1000
    with pytest.raises(UnavailableError, match="the reason") as unavailable:
        await parts.accept()

    assert unavailable.value.reason is UnavailableReason.AUTHORITY_UNREACHABLE
    assert len(parts.log.records) == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TokenRefusedError("invalid_client"), UnavailableError),
        (
            InteractionRequiredError(Interaction(error="e", message="m", scopes=())),
            InteractionRequiredError,
        ),
    ],
)
async def test_refused_exchange_keeps_nothing(error: Exception, raised: type[Exception]) -> None:
    """A refused exchange is not tried again."""
    parts = Parts()
    parts.client.errors = [error]
    with pytest.raises(raised):
        await parts.accept()

    assert (len(parts.client.calls), parts.log.records) == (1, [])


async def test_final_job_has_no_tokens_left() -> None:
    """The cache and the grants have none."""
    parts = Parts()
    job = await parts.accept()
    for listener in (parts.service.on_change, parts.grants.on_change):
        listener(final(job))

    with pytest.raises(GrantMissingError):
        await parts.service.user_token(job, SCOPE)


async def test_discarded_grant_gives_no_token() -> None:
    """Its create found the job, which has a grant of its own."""
    parts = Parts()
    job = await parts.accept()
    parts.service.discard(job.state.grant_id)

    with pytest.raises(GrantMissingError):
        await parts.service.user_token(job, SCOPE)


async def test_job_without_a_grant_is_told_why() -> None:
    """The error names the setting, or the job that it repeats."""
    parts = Parts()
    job = job_with_grant(None)
    retried = replace(job, state=replace(job.state, retry_of=JOB))
    with pytest.raises(NoGrantError, match="FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED"):
        await parts.service.user_token(job, SCOPE)
    with pytest.raises(NoGrantError, match=f"job {JOB} again"):
        await parts.service.user_token(retried, SCOPE)


async def test_grant_sealed_with_an_unknown_key_is_unavailable_and_names_the_key() -> None:
    """Another facade may have the key."""
    parts = Parts()
    job = await parts.accept()
    stranger = open_grants(parts.log, new_ring("two"))
    service = OnBehalfOf(cast("Any", parts.client), stranger, SCOPE, 1.0)

    with pytest.raises(UnavailableError, match="key one") as unavailable:
        await service.user_token(job, SCOPE)
    assert unavailable.value.reason is UnavailableReason.SEALED


async def test_app_token_is_shared_by_all_jobs() -> None:
    """The token is the workload's own."""
    parts = Parts()
    first, second = [await parts.service.app_token(SCOPE) for _ in range(2)]

    assert first.access_token == second.access_token
    assert parts.client.calls == [("app", SCOPE)]
