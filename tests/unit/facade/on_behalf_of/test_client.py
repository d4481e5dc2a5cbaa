"""The confidential client, against the local token endpoint."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509

from fabric_jobs.cli.dev.issuer import CLIENT_ID, PUBLISHER_TENANT, Issuer
from fabric_jobs.cli.dev.token_endpoint import ON_BEHALF_OF, TokenEndpoint
from fabric_jobs.cli.dev.token_failures import (
    AWAY,
    CONSENT_NEEDED,
    REVOKED,
    SECOND_FACTOR_NEEDED,
    THROTTLED,
    Failure,
)
from fabric_jobs.facade.on_behalf_of import client as module
from fabric_jobs.facade.on_behalf_of.client import ConfidentialClient
from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    InteractionRequiredError,
    TokenError,
    TokenRefusedError,
)
from fabric_jobs.runtime.settings import Secret
from tests.support.certificates import write_rsa_certificate
from tests.support.grants import SCOPE
from tests.support.user_authority import TENANT


class Endpoint(TokenEndpoint):
    """An endpoint, and the clients that a test has made of it."""

    clients: list[ConfidentialClient]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint of a running issuer."""
    with Issuer() as issuer, Endpoint(issuer) as running:
        running.clients = []
        yield running
        for one in running.clients:
            one.close()


def client(endpoint: Endpoint, credential: Credential | None = None) -> ConfidentialClient:
    """A client of the endpoint, by its secret unless another credential is given."""
    credential = credential or Credential(secret=Secret(endpoint.client_secret))
    made = ConfidentialClient(
        CLIENT_ID, credential, endpoint.authority, PUBLISHER_TENANT, endpoint.ca_file
    )
    endpoint.clients.append(made)
    return made


def subject_token(endpoint: Endpoint) -> str:
    """A user's token, as Fabric sends it."""
    return endpoint._issuer.sign(endpoint._issuer.subject_claims(TENANT))


async def test_exchange_refresh_and_app_token(endpoint: Endpoint) -> None:
    """A token shows neither of its secrets; the app's token is of the publisher's tenant."""
    ours = client(endpoint)
    first = await ours.exchange(TENANT, subject_token(endpoint), SCOPE)
    assert first.refresh_token
    second = await ours.refresh(TENANT, first.refresh_token, SCOPE)
    app = await ours.app_token(SCOPE)

    assert first.expires_at - first.given_at == pytest.approx(endpoint.lifetime_s)
    assert second.access_token != first.access_token
    assert app.refresh_token is None
    assert endpoint.granted[-1] == ("client_credentials", PUBLISHER_TENANT)
    assert not [token for token in endpoint.given if token in repr((first, second, app))]


async def test_certificate_takes_the_place_of_the_secret(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    """One PEM file holds the certificate and its key."""
    file = write_rsa_certificate(tmp_path)
    endpoint.client_certificate = x509.load_pem_x509_certificate(file.read_bytes())
    ours = client(endpoint, Credential(certificate_file=file))

    assert (await ours.app_token(SCOPE)).access_token
    other = write_rsa_certificate(tmp_path)
    with pytest.raises(TokenRefusedError, match="AADSTS7000215"):
        await client(endpoint, Credential(certificate_file=other)).app_token(SCOPE)


async def test_certificate_file_that_changes_is_used_for_the_next_token(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    """The tenants' applications that MSAL has made of the old certificate are made again."""
    file, other = write_rsa_certificate(tmp_path), write_rsa_certificate(tmp_path)
    endpoint.client_certificate = x509.load_pem_x509_certificate(other.read_bytes())
    ours = client(endpoint, Credential(certificate_file=file))
    with pytest.raises(TokenRefusedError):
        await ours.app_token(SCOPE)
    other.replace(file)

    assert (await ours.app_token(SCOPE)).access_token


@pytest.mark.parametrize("scope", ["offline_access", "openid", "profile"])
async def test_scope_that_msal_refuses_is_refused_at_once(endpoint: Endpoint, scope: str) -> None:
    """The authority is not away: MSAL would refuse the scope again."""
    ours = client(endpoint)
    first = await ours.exchange(TENANT, subject_token(endpoint), SCOPE)
    assert first.refresh_token
    with pytest.raises(TokenRefusedError, match=scope):
        await ours.refresh(TENANT, first.refresh_token, scope)


@pytest.mark.parametrize(
    "document", [{}, [], {"token_endpoint": None, "authorization_endpoint": None}, "x" * 9]
)
async def test_answers_that_msal_can_not_read_mean_that_the_authority_is_away(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, document: Any
) -> None:
    """The error is declared, whatever MSAL raises. An error that is not would end the facade."""
    ours = client(endpoint)
    answer = requests.Response()
    answer.status_code, answer._content = 200, json.dumps(document).encode()
    monkeypatch.setattr(ours._http_client, "request", lambda *_, **__: answer)
    with pytest.raises(AuthorityAwayError):
        await ours.app_token(SCOPE)


@pytest.mark.parametrize("expires_in", [None, "soon", 0])
async def test_token_without_a_lifetime_is_given_in_each_flow(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, expires_in: Any
) -> None:
    """Its lifetime is then 0, so that it is used once."""
    ours = client(endpoint)
    await ours.app_token(SCOPE)
    await ours.exchange(TENANT, subject_token(endpoint), SCOPE)
    answer = requests.Response()
    answer.status_code = 200
    answer._content = json.dumps({"access_token": "AT", "expires_in": expires_in}).encode()
    monkeypatch.setattr(ours._http_client, "request", lambda *_, **__: answer)

    for token in (
        await ours.app_token(SCOPE),
        await ours.exchange(TENANT, subject_token(endpoint), SCOPE),
        await ours.refresh(TENANT, Secret("RT"), SCOPE),
    ):
        assert token.expires_at == token.given_at


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (CONSENT_NEEDED, InteractionRequiredError),
        (SECOND_FACTOR_NEEDED, InteractionRequiredError),
        (REVOKED, InteractionRequiredError),
        (THROTTLED, AuthorityAwayError),
        (AWAY, AuthorityAwayError),
        (Failure(error="invalid_scope", description="AADSTS70011: no scope"), TokenRefusedError),
    ],
)
async def test_answer_without_a_token_says_what_it_means(
    endpoint: Endpoint, failure: Failure, raised: type[TokenError]
) -> None:
    """The user must act, the facade is refused, or the authority is away."""
    endpoint.failures[ON_BEHALF_OF] = failure
    with pytest.raises(raised) as error:
        await client(endpoint).exchange(TENANT, subject_token(endpoint), SCOPE)

    assert type(error.value) is raised


async def test_user_who_has_consented_is_not_refused_from_a_cache(
    endpoint: Endpoint,
) -> None:
    """MSAL itself would repeat the refusal for a minute."""
    ours, token = client(endpoint), subject_token(endpoint)
    endpoint.failures[ON_BEHALF_OF] = CONSENT_NEEDED
    with pytest.raises(InteractionRequiredError):
        await ours.exchange(TENANT, token, SCOPE)
    endpoint.failures.clear()

    assert (await ours.exchange(TENANT, token, SCOPE)).access_token


async def test_authority_that_can_not_be_reached_is_away_and_its_error_holds_no_token(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error nor a log line shows what was sent."""
    caplog.set_level(logging.DEBUG)
    ours, token = client(endpoint), subject_token(endpoint)
    ours._authority = "https://127.0.0.1:1"
    with pytest.raises(AuthorityAwayError) as error:
        await ours.exchange(TENANT, token, SCOPE)

    assert token not in f"{error.value!r} {error.value.__cause__!r} {caplog.text}"


async def test_calls_beyond_the_bound_are_refused(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further call would only wait. A caller that is gone frees no thread, so its call counts."""
    monkeypatch.setattr(module, "MAX_CALLS", 1)
    ours = client(endpoint)
    first = asyncio.create_task(ours.app_token(SCOPE))
    await asyncio.sleep(0)
    with pytest.raises(AuthorityAwayError, match="waits for 1 tokens"):
        await ours.app_token(SCOPE)
    assert (await first).access_token

    assert (await ours.app_token(SCOPE)).access_token


async def test_tenants_beyond_the_bound_are_forgotten(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was not used for longest goes."""
    monkeypatch.setattr(module, "MAX_TENANTS", 1)
    ours = client(endpoint)
    await ours.exchange(TENANT, subject_token(endpoint), SCOPE)
    await ours.app_token(SCOPE)

    assert list(ours._apps) == [PUBLISHER_TENANT]
