"""The security headers of the monitor's responses."""

import pytest

from tests.support.monitor import FoldedJobs, browser_client, make_monitor


@pytest.mark.parametrize("path", ["", "/sign-in", "/nowhere", "/jobs/7", "/static/monitor.css"])
async def test_response_has_the_security_headers(path: str) -> None:
    """Errors and static files have them too. Browsers may keep static files only."""
    _, app = make_monitor(FoldedJobs())
    async with browser_client(app, "http://localhost") as client:
        answer = await client.get(f"/monitor{path}")

    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    kept = "max-age=31536000, immutable" if "/static/" in path else "no-store"
    assert answer.headers["cache-control"] == kept
