"""What is let in to the monitor from where, and what browsers are told of every answer."""

from typing import Any

import pytest

from tests.support.monitor import OPERATOR, Fold, browser, monitor, signed_in

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
async def test_another_site_s_page_changes_nothing(headers: dict[str, str]) -> None:
    """Though the browser sent the cookie; it doesn't sign anybody in either."""
    fold = Fold()
    job_id = fold.create()
    _, app = monitor(fold, signed_in=True)
    async with browser(app, HERE) as client:
        await signed_in(client, OPERATOR)
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
async def test_without_a_sign_in_it_is_for_this_machine_s_names(base_url: str, status: int) -> None:
    """A page of anybody's may give a name of its own to 127.0.0.1, and would read what is there."""
    _, app = monitor(Fold())
    async with browser(app, base_url) as client:
        assert (await client.get("/monitor")).status_code == status


@pytest.mark.parametrize("passed", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host"])
async def test_without_a_sign_in_it_is_behind_no_proxy(passed: str) -> None:
    """Proxies and tunnels pass on what comes from anywhere, and call us localhost."""
    headers = {passed: "192.0.2.1"}
    async with browser(monitor(Fold())[1]) as client:
        refused = await client.get("/monitor", headers=headers)
        assert refused.status_code == 403
        assert "Set FABRIC_JOBS_MONITOR_OPERATOR_TOKEN" in refused.text
    async with browser(monitor(Fold(), signed_in=True)[1]) as client:
        await signed_in(client, OPERATOR)
        assert (await client.get("/monitor", headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["x:y", "x:99999", "[", "[::1"])
@pytest.mark.parametrize(("tokens", "status"), [(True, 303), (False, 403)])
async def test_a_host_that_can_t_be_is_no_fault_of_the_service(
    host: str, tokens: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered as any other, and nothing is logged."""
    _, app = monitor(Fold(), signed_in=tokens)
    async with browser(app) as client:
        answer = await client.get("/monitor/executors", headers={"host": host})

    assert answer.status_code == status
    assert "content-security-policy" in answer.headers
    assert not caplog.records


async def test_a_query_of_any_bytes_is_no_fault_of_the_service() -> None:
    """Browsers send none that is not ASCII."""
    _, app = monitor(Fold(), signed_in=True)

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"query_string": b"status=\xff"}, receive, send)

    async with browser(odd) as client:
        answer = await client.get("/monitor")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/monitor/sign-in?next=%2Fmonitor%3Fstatus%3D%C3%BF"


@pytest.mark.parametrize("path", ["", "/sign-in", "/nowhere", "/jobs/7", "/static/monitor.css"])
async def test_every_answer_has_the_policy(path: str) -> None:
    """Errors and files, too; pages are kept nowhere."""
    _, app = monitor(Fold())
    async with browser(app, "http://localhost") as client:
        answer = await client.get(f"/monitor{path}")

    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    kept = "max-age=31536000, immutable" if "/static/" in path else "no-store"
    assert answer.headers["cache-control"] == kept
