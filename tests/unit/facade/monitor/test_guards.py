"""Which origins and hosts the monitor accepts."""

from typing import Any

import pytest

from tests.support.monitor import OPERATOR, FoldedJobs, browser_client, make_monitor, sign_in

HERE = "http://monitor.test"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": f"{HERE}:81"},
        {"sec-fetch-site": "cross-site", "origin": HERE},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_form_from_another_site_is_refused(headers: dict[str, str]) -> None:
    """The cookie of a signed-in operator does not help, and nobody is signed in or out."""
    fold = FoldedJobs()
    job_id = fold.create()
    _, app = make_monitor(fold, tokens=True)
    async with browser_client(app, HERE) as client:
        await sign_in(client, OPERATOR)
        for path in (f"jobs/{job_id}/cancel", "sign-out", "sign-in"):
            answer = await client.post(f"/monitor/{path}", headers=headers)
            assert answer.status_code == 403

    assert not fold.replica.get(job_id).job.final  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("base_url", "status"),
    [
        ("http://localhost:5000", 200),
        ("http://127.0.0.1:5000", 200),
        ("http://[::1]:5000", 200),
        ("http://monitor.test", 403),
        ("http://127.0.0.1.evil.test", 403),
    ],
)
async def test_monitor_without_tokens_accepts_only_host_names_of_loopback(
    base_url: str, status: int
) -> None:
    """Otherwise a site whose name resolves to 127.0.0.1 could read the monitor."""
    _, app = make_monitor(FoldedJobs())
    async with browser_client(app, base_url) as client:
        assert (await client.get("/monitor")).status_code == status


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host"])
async def test_monitor_without_tokens_refuses_requests_through_a_proxy(name: str) -> None:
    """A proxy may forward requests of other machines with the host name localhost."""
    headers = {name: "192.0.2.1"}
    async with browser_client(make_monitor(FoldedJobs())[1]) as client:
        refused = await client.get("/monitor", headers=headers)
        assert refused.status_code == 403
        assert "Set FABRIC_JOBS_MONITOR_OPERATOR_TOKEN" in refused.text
    async with browser_client(make_monitor(FoldedJobs(), tokens=True)[1]) as client:
        await sign_in(client, OPERATOR)
        assert (await client.get("/monitor", headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["x:y", "x:99999", "[", "[::1"])
@pytest.mark.parametrize(("tokens", "status"), [(True, 303), (False, 403)])
async def test_request_with_a_malformed_host_is_answered_without_an_error_in_the_log(
    host: str, tokens: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is the same as for any other foreign host."""
    _, app = make_monitor(FoldedJobs(), tokens=tokens)
    async with browser_client(app) as client:
        answer = await client.get("/monitor/executors", headers={"host": host})

    assert answer.status_code == status
    assert "content-security-policy" in answer.headers
    assert not caplog.records


async def test_request_with_a_query_of_arbitrary_bytes_redirects_to_the_sign_in() -> None:
    """Browsers send ASCII only, but other clients may not."""
    _, app = make_monitor(FoldedJobs(), tokens=True)

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"query_string": b"status=\xff"}, receive, send)

    async with browser_client(odd) as client:
        answer = await client.get("/monitor")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/monitor/sign-in?next=%2Fmonitor%3Fstatus%3D%C3%BF"
