"""Who sees the monitor, and who may change something."""

import time
import uuid
from logging import LogRecord

import httpx
import pytest

from fabric_jobs.facade.monitor import MonitorAccess, MonitorRole
from fabric_jobs.facade.monitor.access import MAX_WRONG_TOKENS, SESSION_S, TooManyTriesError
from fabric_jobs.runtime.settings import Secret
from fabric_jobs.runtime.telemetry.logs import about
from tests.support.monitor import OPERATOR, READER, Fold, browser, monitor, signed_in

JOB = str(uuid.UUID(int=7))
HERE = "http://monitor.test"
PAGES = [
    "",
    "/",
    "/executors",
    "/find?id=x",
    f"/jobs/{JOB}",
    f"/jobs/{JOB}/events",
]
STREAMS = ["/live", "/executors/live", f"/jobs/{JOB}/live"]


@pytest.mark.parametrize("page", PAGES)
async def test_who_is_not_signed_in_is_led_to_the_form_and_back(page: str) -> None:
    """Whatever the page: nothing of it is shown."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        answer = await client.get(f"/monitor{page}")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/monitor/sign-in?next=%2Fmonitor")
        form = await client.get(answer.headers["location"])
        assert form.status_code == 200
        next_page = httpx.QueryParams(answer.headers["location"].partition("?")[2])["next"]
        answer = await signed_in(client, READER, next=next_page)

    assert answer.headers["location"].rstrip("/") == f"/monitor{page}".rstrip("/")


async def test_what_a_form_sent_before_the_sign_in_is_not_sent_again() -> None:
    """Who signs in looks first."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        answer = await client.post(f"/monitor/jobs/{JOB}/cancel", headers={"origin": HERE})

    assert answer.headers["location"] == "/monitor/sign-in?next=%2Fmonitor"


@pytest.mark.parametrize("stream", STREAMS)
async def test_who_is_not_signed_in_hears_nothing(stream: str) -> None:
    """A stream isn't led anywhere."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        assert (await client.get(f"/monitor{stream}")).status_code == 401


async def test_every_route_but_the_way_in_is_behind_the_sign_in() -> None:
    """Also one that is made later."""
    made, _ = monitor(Fold(), signed_in=True)

    paths = {route.path for route in made.app.routes} - {"/monitor/sign-in", "/monitor/sign-out"}
    shown = {path for path in paths if "/static/" not in path}
    known = {f"/monitor{page.partition('?')[0]}".rstrip("/") for page in PAGES + STREAMS}
    assert {path.replace("{job_id:str}", JOB) for path in shown} == known | {
        f"/monitor/jobs/{JOB}/cancel"
    }


async def test_a_reader_reads_and_an_operator_cancels(caplog: pytest.LogCaptureFixture) -> None:
    """The button is the operator's, and so is what is behind it; a cancel is logged."""
    caplog.set_level("INFO", "fabric_jobs.monitor")
    logged = list[dict[str, str]]()

    def note(_: LogRecord) -> bool:
        logged.append(about())
        return True

    caplog.handler.addFilter(note)
    fold = Fold()
    job_id = fold.create()
    _, app = monitor(fold, signed_in=True)
    path = f"/monitor/jobs/{job_id}"
    async with browser(app, HERE) as client:
        await signed_in(client, READER)
        assert f"{path}/cancel" not in (await client.get(path)).text
        refused = await client.post(f"{path}/cancel", headers={"origin": HERE})
        assert (refused.status_code, fold.replica.get(job_id).job.final) == (403, False)  # type: ignore[union-attr]
        await signed_in(client, OPERATOR)
        assert f"{path}/cancel" in (await client.get(path)).text
        done = await client.post(f"{path}/cancel", headers={"origin": HERE})

    assert (done.status_code, done.headers["location"]) == (303, path)
    assert fold.replica.get(job_id).job.state.status == "Cancelled"  # type: ignore[union-attr]
    assert logged == [{"job": job_id}]


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_the_cookie_is_for_this_site_and_no_script(scheme: str, secure: bool) -> None:
    """And for HTTPS alone, where the browser came by that: a proxy ends it before us."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        answer = await client.post(
            "/monitor/sign-in",
            data={"token": READER},
            headers={"origin": f"{scheme}://monitor.test"},
        )
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}

    assert parts >= {"httponly", "samesite=lax", "path=/monitor", f"max-age={SESSION_S}"}
    assert ("secure" in parts) is secure


async def test_signing_out_ends_the_session_in_the_browser() -> None:
    """The next page asks again."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        await signed_in(client, READER)
        assert (await client.get("/monitor/executors")).status_code == 200
        await client.post("/monitor/sign-out", headers={"origin": HERE})
        assert (await client.get("/monitor/executors")).status_code == 303


@pytest.mark.parametrize("next_page", ["https://evil.test/", "//evil.test", "/monitorx", "\\", ""])
async def test_a_sign_in_leads_nowhere_else(next_page: str) -> None:
    """Whatever the link said that led there."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        answer = await signed_in(client, READER, next=next_page)

    assert answer.headers["location"] == "/monitor"


async def test_a_wrong_token_is_refused_and_so_are_many(caplog: pytest.LogCaptureFixture) -> None:
    """That somebody guesses is logged once; the right one gets in all the same."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        for _ in range(MAX_WRONG_TOKENS):
            answer = await signed_in(client, "guess")
            assert answer.status_code == 403
            assert "neither the readers" in answer.text
        assert not caplog.records
        for _ in range(2):
            assert (await signed_in(client, "guess")).status_code == 429
        assert (await signed_in(client, OPERATOR)).status_code == 303
        assert (await client.get("/monitor/executors")).status_code == 200

    assert [record.getMessage() for record in caplog.records] == [
        f"more than {MAX_WRONG_TOKENS} wrong tokens came in a minute: who guesses?"
    ]


def test_after_a_minute_wrong_tokens_are_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few are mistakes again."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    access = MonitorAccess({MonitorRole.READER: Secret(READER)})
    for _ in range(MAX_WRONG_TOKENS):
        assert access.sign_in("guess") is None
    with pytest.raises(TooManyTriesError):
        access.sign_in("guess")
    now += 60

    assert access.sign_in("guess") is None


def test_a_session_is_good_on_every_replica_until_it_is_over_or_the_secret_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says nothing that its reader could change."""
    one, two = (
        MonitorAccess({MonitorRole.READER: Secret(READER), MonitorRole.OPERATOR: Secret(OPERATOR)})
        for _ in "12"
    )
    other = MonitorAccess(
        {MonitorRole.READER: Secret("another secret"), MonitorRole.OPERATOR: Secret(OPERATOR)}
    )
    session = one.sign_in(READER)
    assert session

    assert two.role(session) is MonitorRole.READER
    assert other.role(session) is None
    assert one.role(session.replace("reader", "operator")) is None
    assert one.role(session[:-1]) is None
    for forged in (
        None,
        "",
        ".",
        "..",
        "reader",
        "reader.9999999999.",
        "reader.x.y",
        "nobody.1.2",
        "é",
    ):
        assert one.role(forged) is None
    later = time.time() + SESSION_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert one.role(session) is None


async def test_a_body_that_is_no_sign_in_is_refused() -> None:
    """Before it is read."""
    _, app = monitor(Fold(), signed_in=True)
    async with browser(app, HERE) as client:
        assert (await signed_in(client, "x" * 10_000)).status_code == 413
