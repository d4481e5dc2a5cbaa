"""Sign-in by OpenID Connect, at a provider on a real socket."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar.types import ASGIApp

from fabric_jobs.facade.monitor.guards import COOKIE
from fabric_jobs.facade.monitor.openid import FLOW_S, MAX_NAME_CHARS, SESSION_S
from fabric_jobs.facade.monitor.sign_in import FLOW_COOKIE
from fabric_jobs.runtime.settings import Secret
from tests.support.monitor import OPERATOR, FoldedJobs, browser_client, make_monitor
from tests.support.openid_provider import CLIENT_ID, OpenIdProvider, people_at

HERE = "https://monitor.test"
MONITOR = f"{HERE}/monitor"


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    """A provider that signs in Ann Smith, who is an operator."""
    with OpenIdProvider() as running:
        yield running


def app_of(provider: OpenIdProvider, fold: FoldedJobs | None = None, **options: Any) -> ASGIApp:
    """Returns a monitor at which people sign in."""
    fold = fold or FoldedJobs()
    _, app = make_monitor(fold, people=people_at(provider, MONITOR), **options)
    return app


async def go_to_provider(client: httpx.AsyncClient, next_page: str = "/monitor") -> str:
    """Follows the sign-in to the provider and back. Returns the address that it sends back to."""
    begun = await client.get("/monitor/sign-in/openid", params={"next": next_page})
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(begun.headers["location"])
    return answer.headers["location"]


async def sign_in(client: httpx.AsyncClient, next_page: str = "/monitor") -> httpx.Response:
    """Signs in. Returns the last answer of the monitor."""
    return await client.get(await go_to_provider(client, next_page))


async def test_person_signs_in_is_named_acts_and_signs_out(provider: OpenIdProvider) -> None:
    """The cookies are for HTTPS and hidden from scripts, and the one of the sign-in is deleted."""
    fold = FoldedJobs()
    job_id = fold.create()
    async with browser_client(app_of(provider, fold), HERE) as client:
        form = await client.get(f"/monitor/sign-in?next=/monitor/jobs/{job_id}")
        answer = await sign_in(client, f"/monitor/jobs/{job_id}")
        page = (await client.get(answer.headers["location"])).text
        headers = {"origin": HERE}
        pause = {"item_type": "Contoso.Sales.Report", "job_type": "refresh", "reason": "later"}
        await client.post("/monitor/job-types/pause", data=pause, headers=headers)
        cookies = set(client.cookies)
        await client.post("/monitor/sign-out", headers=headers)
        after = await client.get("/monitor")

    assert f'href="/monitor/sign-in/openid?next=/monitor/jobs/{job_id}"' in form.text
    assert 'name="token"' not in form.text
    assert answer.headers["location"] == f"/monitor/jobs/{job_id}"
    cookie = answer.headers.get_list("set-cookie")[0]
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    assert "SameSite=lax" in cookie
    assert "Ann Smith (operator)" in page
    assert "Cancel the job" in page
    (control,) = fold.controls.paused.values()
    assert control.by == "Ann Smith at the monitor"
    assert cookies == {COOKIE}
    assert after.headers["location"].startswith("/monitor/sign-in")


async def test_monitor_cancel_and_bulk_action_log_the_person_who_signed_in(
    provider: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who finds cancelled jobs knows from the log whom to ask."""
    caplog.set_level(logging.INFO, "fabric_jobs.monitor")
    fold = FoldedJobs()
    job_id = fold.create()
    fold.create(job_type="many")
    async with browser_client(app_of(provider, fold), HERE) as client:
        await sign_in(client)
        headers = {"origin": HERE}
        for action in ("cancel", "retry"):
            await client.post(f"/monitor/jobs/{job_id}/{action}", headers=headers)
        form = {"job_type": "many", "count": "1"}
        started = await client.post("/monitor/bulk/cancel", data=form, headers=headers)
        await client.post(f"{started.headers['location']}/stop", headers=headers)

    who = "by Ann Smith at the monitor"
    assert [line.partition(":")[0] for line in caplog.messages if who in line] == [
        f"cancel {who}",
        f"retry {who}",
        f"bulk cancel of 1 jobs {who}",
        f"bulk cancel is stopped {who}",
    ]


@pytest.mark.parametrize(
    ("claims", "status", "shown"),
    [
        ({"roles": ["jobs.reader"]}, 200, "Ann Smith (reader)"),
        ({"roles": None, "groups": ["6f1e-a-group"]}, 200, "Ann Smith (operator)"),
        ({"roles": ["jobs.reader", "jobs.operator"]}, 200, "Ann Smith (operator)"),
        (
            {"name": None, "preferred_username": "ann@contoso.com"},
            200,
            "ann@contoso.com (operator)",
        ),
        ({"name": "<b>" * 99}, 200, "&lt;b&gt;&lt;b&gt;"),
        ({"roles": ["another"]}, 403, "Your account has no role in this monitor."),
        ({"roles": "jobs.operator"}, 403, "Your account has no role in this monitor."),
    ],
    ids=["reader", "group", "both", "no name", "long name", "no role", "a text of roles"],
)
async def test_role_and_name_are_those_of_the_id_token(
    provider: OpenIdProvider, claims: dict[str, Any], status: int, shown: str
) -> None:
    """An account without a role gets no session."""
    provider.claims |= claims
    async with browser_client(app_of(provider), HERE) as client:
        answer = await sign_in(client)
        page = answer if status == 403 else await client.get("/monitor")

    assert page.status_code == status
    assert shown in page.text
    assert (COOKIE in client.cookies) is (status == 200)
    assert len(client.cookies.get(COOKIE) or "") < 600 + MAX_NAME_CHARS


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another"}, "Audience"),
        ({"aud": [CLIENT_ID, "x"], "azp": "x"}, "another client"),
        ({"iss": "https://evil.test"}, "issuer"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
    ],
)
async def test_id_token_with_a_wrong_claim_is_refused(
    provider: OpenIdProvider, claims: dict[str, Any], reason: str
) -> None:
    """The page says why."""
    provider.claims |= claims
    async with browser_client(app_of(provider), HERE) as client:
        answer = await sign_in(client)

    assert answer.status_code == 403
    assert "ID token is not valid" in answer.text
    assert reason in answer.text
    assert COOKIE not in client.cookies


async def test_id_token_that_is_not_signed_by_the_providers_key_is_refused(
    provider: OpenIdProvider,
) -> None:
    """Neither by another key, nor by the client's secret."""
    texts = []
    async with browser_client(app_of(provider), HERE) as client:
        provider.algorithm = "HS256"
        texts.append((await sign_in(client)).text)
        provider.algorithm = "RS256"
        await sign_in(client)
        client.cookies.clear()
        published = provider.key.public()
        with OpenIdProvider() as other:
            provider.key.private = other.key.private
            provider.key.public = lambda: published  # type: ignore[method-assign]
            texts.append((await sign_in(client)).text)

    assert all("ID token is not valid" in text for text in texts)
    assert COOKIE not in client.cookies


async def test_answer_of_another_sign_in_is_refused(provider: OpenIdProvider) -> None:
    """Nobody can sign a browser in as somebody else."""
    app = app_of(provider)
    async with browser_client(app, HERE) as attacker, browser_client(app, HERE) as client:
        stolen = await go_to_provider(attacker)
        without_flow = await client.get(stolen)
        await client.get("/monitor/sign-in/openid")
        other_state = await client.get(stolen)
        client.cookies.set(FLOW_COOKIE, "forged")
        forged = await client.get(stolen)

    for answer in (without_flow, other_state, forged):
        assert answer.status_code == 400
        assert "began in another browser" in answer.text
    assert COOKIE not in client.cookies


async def test_code_is_used_once(provider: OpenIdProvider) -> None:
    """The provider refuses it the second time, and the page says so."""
    async with browser_client(app_of(provider), HERE) as client:
        back = await go_to_provider(client)
        flow = client.cookies[FLOW_COOKIE]
        first = await client.get(back)
        client.cookies.clear()
        client.cookies.set(FLOW_COOKIE, flow)
        second = await client.get(back)

    assert (first.status_code, second.status_code) == (303, 403)
    assert "refused the sign-in with status 400" in second.text


async def test_refusal_of_the_provider_is_shown(provider: OpenIdProvider) -> None:
    """The text is escaped."""
    provider.error = "access_denied <b>"
    async with browser_client(app_of(provider), HERE) as client:
        answer = await sign_in(client)

    assert answer.status_code == 403
    assert "access_denied &lt;b&gt;" in answer.text


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "https://evil.test"},
        {"token_endpoint": "http://provider.test/token"},
        {"authorization_endpoint": 7},
    ],
    ids=["issuer", "no https", "no text"],
)
async def test_configuration_that_is_wrong_is_refused(
    provider: OpenIdProvider, configuration: dict[str, Any]
) -> None:
    """No browser is sent anywhere, and no secret is."""
    provider.configuration = configuration
    async with browser_client(app_of(provider), HERE) as client:
        answer = await client.get("/monitor/sign-in/openid")

    assert answer.status_code == 503
    assert "configuration can&#39;t be fetched" in answer.text


async def test_configuration_that_is_nested_too_deeply_is_refused(
    provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder's error is that of a malformed answer."""

    def nest(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"[" * 100_000)

    monkeypatch.setattr(provider, "answer", nest)
    async with browser_client(app_of(provider), HERE) as client:
        answer = await client.get("/monitor/sign-in/openid")

    assert answer.status_code == 503
    assert "configuration can&#39;t be fetched" in answer.text


async def test_many_sign_ins_that_begin_fetch_the_configuration_once(
    provider: OpenIdProvider,
) -> None:
    """Anyone may begin a sign-in, so not every sign-in may make the facade send a request."""
    async with browser_client(app_of(provider), HERE) as client:
        for _ in range(10):
            begun = await client.get("/monitor/sign-in/openid")
            assert begun.status_code == 303

    assert provider.fetches == 1


async def test_sign_in_while_the_provider_is_away_says_so() -> None:
    """The tokens still sign in."""
    with OpenIdProvider() as gone:
        app = app_of(gone, tokens=True)
    async with browser_client(app, HERE) as client:
        answer = await client.get("/monitor/sign-in/openid")
        form = {"token": OPERATOR}
        token = await client.post("/monitor/sign-in", data=form, headers={"origin": HERE})
        page = (await client.get("/monitor")).text

    assert answer.status_code == 503
    assert token.status_code == 303
    assert "Signed in as operator" in page


@pytest.mark.parametrize("next_page", ["https://evil.test", "//evil.test", "/other", ""])
async def test_sign_in_leads_to_pages_of_the_monitor_only(
    provider: OpenIdProvider, next_page: str
) -> None:
    """Any other page becomes the first one."""
    async with browser_client(app_of(provider), HERE) as client:
        answer = await sign_in(client, next_page)

    assert answer.headers["location"] == "/monitor"


async def test_session_and_sign_in_end_by_their_age(
    provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times are in the encrypted cookies."""
    now = time.time()
    async with browser_client(app_of(provider), HERE) as client:
        back = await go_to_provider(client)
        monkeypatch.setattr(time, "time", lambda: now + FLOW_S + 5)
        late = await client.get(back)
        monkeypatch.undo()
        await sign_in(client)
        session = client.cookies[COOKIE]
    people = people_at(provider, MONITOR)
    assert people.viewer(session)
    monkeypatch.setattr(time, "time", lambda: now + SESSION_S + 5)

    assert late.status_code == 400
    assert people.viewer(session) is None


async def test_session_is_valid_on_replicas_with_the_same_secret_only(
    provider: OpenIdProvider,
) -> None:
    """A cookie of the sign-in is no session."""
    async with browser_client(app_of(provider), HERE) as client:
        await client.get("/monitor/sign-in/openid")
        flow = client.cookies[FLOW_COOKIE]
        await sign_in(client)
        session = client.cookies[COOKIE]

    assert people_at(provider, MONITOR).viewer(session) is not None
    assert people_at(provider, MONITOR, client_secret=Secret("another")).viewer(session) is None
    assert people_at(provider, MONITOR).viewer(f"person.{flow}") is None
    for forged in (session[:-4] + "abcd", "person.", "person.é", "person.====", "person.\0"):
        assert people_at(provider, MONITOR).viewer(forged) is None


async def test_monitor_without_a_provider_has_no_sign_in_of_people() -> None:
    """The pages do not exist."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        found = [
            (await client.get(f"/monitor/sign-in{path}")).status_code
            for path in ("/openid", "/callback?code=x")
        ]

    assert found == [404, 404]
