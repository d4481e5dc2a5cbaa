"""The local token endpoint, as Microsoft's library sees it."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msal
import pytest

from fabric_jobs.cli.dev.issuer import CLIENT_ID, PUBLISHER_TENANT, Issuer
from fabric_jobs.cli.dev.token_endpoint import ON_BEHALF_OF, TokenEndpoint, User
from fabric_jobs.cli.dev.token_failures import (
    CONSENT_NEEDED,
    SECOND_FACTOR_NEEDED,
    THROTTLED,
)
from fabric_jobs.facade.on_behalf_of.client import HttpCache
from fabric_jobs.facade.on_behalf_of.http_client import HttpClient

TENANT = "c0000000-0000-4000-8000-00000000000a"
SCOPES = ["https://storage.azure.com/.default"]


class Endpoint(TokenEndpoint):
    """An endpoint with an HTTP client that trusts it."""

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(issuer)
        self.http_client = HttpClient(self.ca_file)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint of a running issuer."""
    with Issuer() as issuer, Endpoint(issuer) as running, running.http_client:
        yield running


def app(endpoint: Endpoint, tenant: str = TENANT, secret: str = "") -> Any:
    """A confidential client of the tenant."""
    return msal.ConfidentialClientApplication(
        CLIENT_ID,
        secret or endpoint.client_secret,
        f"{endpoint.authority}/{tenant}",
        instance_discovery=False,
        http_client=endpoint.http_client,
        http_cache=HttpCache(),
    )


def subject_token(endpoint: Endpoint, tenant: str = TENANT) -> str:
    """A user's token, as Fabric sends it."""
    issuer = endpoint._issuer
    return issuer.sign(issuer.subject_claims(tenant))


def test_subject_token_exchanged_and_refreshed_by_msal(endpoint: Endpoint) -> None:
    """The exchange gives an access token for the resource, and a refresh token that gives more."""
    client = app(endpoint)

    first = client.acquire_token_on_behalf_of(subject_token(endpoint), SCOPES)
    second = client.acquire_token_by_refresh_token(first["refresh_token"], SCOPES)

    assert first["expires_in"] == endpoint.lifetime_s
    assert second["access_token"] not in ("", first["access_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert endpoint.granted == [(ON_BEHALF_OF, TENANT), ("refresh_token", TENANT)]


def test_client_credentials_give_a_token_of_the_app(endpoint: Endpoint) -> None:
    """The workload's own token has no user."""
    answer = app(endpoint, PUBLISHER_TENANT).acquire_token_for_client(SCOPES)

    assert answer["access_token"]
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("length", "body"), [("many", b""), ("2", b"\xff\xff")], ids=["length", "body"]
)
def test_unreadable_request_is_refused_as_invalid(
    endpoint: Endpoint, length: str, body: bytes
) -> None:
    """The client gets an answer, where the connection was closed without one."""
    host, port = endpoint.authority.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    head = f"POST /{TENANT}/oauth2/v2.0/token HTTP/1.0\r\nContent-Length: {length}\r\n\r\n"

    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        secured.sendall(head.encode() + body)
        answer = secured.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.0 400")
    assert b'"error": "invalid_request"' in answer


def test_wrong_secret_refused_as_invalid_client(endpoint: Endpoint) -> None:
    """The answer is that of Entra."""
    answer = app(endpoint, secret="wrong").acquire_token_for_client(SCOPES)

    assert answer["error"] == "invalid_client"
    assert "AADSTS7000215" in answer["error_description"]


def test_token_of_another_tenant_refused(endpoint: Endpoint) -> None:
    """A user's token is exchanged in the tenant that it names."""
    other = subject_token(endpoint, PUBLISHER_TENANT)

    assert app(endpoint).acquire_token_on_behalf_of(other, SCOPES)["error"] == "invalid_grant"


@pytest.mark.parametrize("failure", [CONSENT_NEEDED, SECOND_FACTOR_NEEDED, THROTTLED])
def test_failure_on_demand_reaches_the_client(endpoint: Endpoint, failure: Any) -> None:
    """A test says what the exchange gets, and what it is cured by."""
    endpoint.failures[ON_BEHALF_OF] = failure

    answer = app(endpoint).acquire_token_on_behalf_of(subject_token(endpoint), SCOPES)

    assert answer["error"] == failure.error
    assert answer.get("suberror", failure.suberror) == failure.suberror
    assert answer.get("claims", failure.claims) == failure.claims
    endpoint.failures.clear()
    assert app(endpoint).acquire_token_on_behalf_of(subject_token(endpoint), SCOPES)["access_token"]


def test_revoked_user_gets_no_further_token(endpoint: Endpoint) -> None:
    """The refresh tokens of a user end with the revocation."""
    client = app(endpoint)
    first = client.acquire_token_on_behalf_of(subject_token(endpoint), SCOPES)
    user = endpoint._issuer.subject_claims(TENANT)["oid"]
    endpoint.revoked.add(User(TENANT, user))

    answer = client.acquire_token_by_refresh_token(first["refresh_token"], SCOPES)

    assert answer["error"] == "invalid_grant"


def test_issuer_and_token_endpoint_stop_within_a_third_of_a_second() -> None:
    """`fabric-jobs dev` waits for both after Ctrl-C. A busy machine may delay some of the tries."""

    def measure_stop_s() -> float:
        with ExitStack() as stack:
            stack.enter_context(TokenEndpoint(stack.enter_context(Issuer())))
            begin = time.monotonic()
        return time.monotonic() - begin

    assert min(measure_stop_s() for _ in range(3)) < 0.3
