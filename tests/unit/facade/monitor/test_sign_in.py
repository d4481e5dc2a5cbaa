"""The sign-in to the monitor, and what each role may do."""

import uuid
from logging import LogRecord

import httpx
import pytest

from fabric_jobs.facade.monitor.access import MAX_WRONG_TOKENS, SESSION_S
from fabric_jobs.runtime.telemetry.logs import bound_ids
from tests.support.monitor import (
    OPERATOR,
    READER,
    FoldedJobs,
    browser_client,
    make_monitor,
    sign_in,
)

JOB = str(uuid.UUID(int=7))
HERE = "http://monitor.test"
PAGES = [
    "",
    "/",
    "/executors",
    "/job-types",
    "/ended",
    "/executor?id=e",
    "/find?id=x",
    f"/jobs/{JOB}",
    f"/jobs/{JOB}/events",
    "/bulk/cancel?job_type=x",
    f"/bulk-runs/{JOB}",
]
STREAMS = [
    "/live",
    "/executors/live",
    "/job-types/live",
    "/ended/live",
    "/executor/live",
    f"/jobs/{JOB}/live",
    f"/bulk-runs/{JOB}/live",
]


@pytest.mark.parametrize("page", PAGES)
async def test_page_without_a_session_redirects_to_the_sign_in_and_back(page: str) -> None:
    """Nothing of the page is shown before the sign-in."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        answer = await client.get(f"/monitor{page}")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/monitor/sign-in?next=%2Fmonitor")
        form = await client.get(answer.headers["location"])
        assert form.status_code == 200
        next_page = httpx.QueryParams(answer.headers["location"].partition("?")[2])["next"]
        answer = await sign_in(client, READER, next=next_page)

    assert answer.headers["location"].rstrip("/") == f"/monitor{page}".rstrip("/")


async def test_form_without_a_session_redirects_to_the_sign_in_and_then_to_the_first_page() -> None:
    """The form is not sent again after the sign-in."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        answer = await client.post(f"/monitor/jobs/{JOB}/cancel", headers={"origin": HERE})

    assert answer.headers["location"] == "/monitor/sign-in?next=%2Fmonitor"


@pytest.mark.parametrize("stream", STREAMS)
async def test_stream_without_a_session_is_refused(stream: str) -> None:
    """A stream is not redirected to the sign-in."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        assert (await client.get(f"/monitor{stream}")).status_code == 401


async def test_routes_that_need_a_session_are_all_but_the_sign_in() -> None:
    """A route that is added later must be added to the tests of this file."""
    monitor, _ = make_monitor(FoldedJobs(), tokens=True)

    before = {f"/monitor/sign-{name}" for name in ("in", "out", "in/openid", "in/callback")}
    paths = {route.path for route in monitor.app.routes} - before
    shown = {path for path in paths if "/static/" not in path}
    known = {f"/monitor{page.partition('?')[0]}".rstrip("/") for page in PAGES + STREAMS}
    for name, value in (("job_id", JOB), ("run_id", JOB), ("action", "cancel")):
        shown = {path.replace(f"{{{name}:str}}", value) for path in shown}
    assert shown == known | {
        f"/monitor/jobs/{JOB}/cancel",
        f"/monitor/jobs/{JOB}/retry",
        f"/monitor/bulk-runs/{JOB}/stop",
        "/monitor/job-types/pause",
        "/monitor/job-types/resume",
    }


async def test_cancel_is_refused_to_a_reader_and_allowed_to_an_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only an operator sees the button. A cancel is logged with the job's id."""
    caplog.set_level("INFO", "fabric_jobs.monitor")
    logged = list[dict[str, str]]()

    def note(_: LogRecord) -> bool:
        logged.append(bound_ids())
        return True

    caplog.handler.addFilter(note)
    fold = FoldedJobs()
    job_id = fold.create()
    _, app = make_monitor(fold, tokens=True)
    path = f"/monitor/jobs/{job_id}"
    async with browser_client(app, HERE) as client:
        await sign_in(client, READER)
        assert f"{path}/cancel" not in (await client.get(path)).text
        refused = await client.post(f"{path}/cancel", headers={"origin": HERE})
        assert (refused.status_code, fold.replica.get(job_id).job.final) == (403, False)  # type: ignore[union-attr]
        await sign_in(client, OPERATOR)
        assert f"{path}/cancel" in (await client.get(path)).text
        done = await client.post(f"{path}/cancel", headers={"origin": HERE})

    assert (done.status_code, done.headers["location"]) == (303, path)
    assert fold.replica.get(job_id).job.state.status == "Cancelled"  # type: ignore[union-attr]
    assert logged == [{"job": job_id}]


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_session_cookie_is_limited_to_the_monitor_and_hidden_from_scripts(
    scheme: str, secure: bool
) -> None:
    """It is Secure if the browser's URL has HTTPS, even if a proxy ends HTTPS."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        answer = await client.post(
            "/monitor/sign-in",
            data={"token": READER},
            headers={"origin": f"{scheme}://monitor.test"},
        )
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}

    assert parts >= {"httponly", "samesite=lax", "path=/monitor", f"max-age={SESSION_S}"}
    assert ("secure" in parts) is secure


async def test_sign_out_removes_the_session_from_the_browser() -> None:
    """The next page redirects to the sign-in."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        await sign_in(client, READER)
        assert (await client.get("/monitor/executors")).status_code == 200
        await client.post("/monitor/sign-out", headers={"origin": HERE})
        assert (await client.get("/monitor/executors")).status_code == 303


@pytest.mark.parametrize("next_page", ["https://evil.test/", "//evil.test", "/monitorx", "\\", ""])
async def test_sign_in_with_a_foreign_next_page_redirects_to_the_monitor(next_page: str) -> None:
    """A link cannot use the sign-in to send the user to another site."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        answer = await sign_in(client, READER, next=next_page)

    assert answer.headers["location"] == "/monitor"


async def test_sign_in_with_many_wrong_tokens_is_refused_with_429(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning is logged. The right token still works."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        for _ in range(MAX_WRONG_TOKENS):
            answer = await sign_in(client, "guess")
            assert answer.status_code == 403
            assert "neither the readers" in answer.text
        assert not caplog.records
        for _ in range(2):
            assert (await sign_in(client, "guess")).status_code == 429
        assert (await sign_in(client, OPERATOR)).status_code == 303
        assert (await client.get("/monitor/executors")).status_code == 200

    assert [record.getMessage() for record in caplog.records] == [
        f"more than {MAX_WRONG_TOKENS} wrong monitor tokens in one minute: somebody may be guessing"
    ]


async def test_sign_in_with_a_body_above_the_bound_is_refused_with_413() -> None:
    """No form of the monitor is that large."""
    _, app = make_monitor(FoldedJobs(), tokens=True)
    async with browser_client(app, HERE) as client:
        assert (await sign_in(client, "x" * 10_000)).status_code == 413
