"""Every page at three widths, light and dark: no overflow, and no violation that axe-core finds.

`make pictures` writes the pictures of the documentation from the same pages.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from msgspec import Struct
from playwright.async_api import Browser, Page, expect

from fabric_jobs.facade.monitor import timeline
from fabric_jobs.facade.replica import Change
from tests.support.chromium import await_live, open_page, serve
from tests.support.monitor import EXECUTOR, OPERATOR, FoldedJobs, make_monitor
from tests.support.monitor_example import LONG, fill
from tests.support.paths import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = (360, 768, 1600)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
#: Set by `make pictures`: the tests write the pictures of the documentation.
WRITES_PICTURES = "FABRIC_JOBS_TEST_PICTURES" in os.environ


class Example(Struct):
    """A monitor with jobs of every kind."""

    url: str
    #: By a name, the paths of pages that are kept up to date.
    live: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def example() -> AsyncIterator[Example]:
    """A monitor with names as long as they may be."""
    async with serve_example(long_names=True) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pictured() -> AsyncIterator[Example]:
    """A monitor with usual names."""
    async with serve_example(long_names=False) as served:
        yield served


@asynccontextmanager
async def serve_example(*, long_names: bool) -> AsyncIterator[Example]:
    """Serves a monitor that asks for a sign-in, with the events of its jobs."""
    fold = FoldedJobs(lease_s=3600)
    applied: dict[str, list[Any]] = {}

    def record(change: Change) -> None:
        event = SimpleNamespace(event=change.event, applied=True)
        applied.setdefault(change.event.subject, []).append(event)

    async def read_history(_: object, job_id: str, *__: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(events=applied[job_id], records=len(applied[job_id]))

    fold.replica.listeners.add(record)
    failed = fill(fold, long_names=long_names)
    made, app = make_monitor(fold, tokens=True)
    live = {
        "jobs": "",
        "filtered": "?status=Failed",
        "job": f"/jobs/{failed}",
        "executors": "/executors",
        "executor": f"/executor?id={EXECUTOR}",
        "long-executor": f"/executor?id={LONG}",
        "job-types": "/job-types",
        "ended": "/ended",
        "ended-week": "/ended?period=week",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "read_history", read_history)
        async with serve(app) as url:
            yield Example(f"{url}/monitor", live)
            made.stop()


async def sign_in(page: Page) -> None:
    """Signs in as an operator."""
    await page.get_by_label("Reader or operator token").fill(OPERATOR)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


async def check(page: Page, name: str) -> None:
    """Fails if the page overflows its width, or if axe-core finds a violation, light or dark."""
    assert page.viewport_size
    width = page.viewport_size["width"]
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        where = f"{name} at {width} px, {scheme},"
        found = await page.evaluate("document.documentElement.scrollWidth")
        assert found <= width, f"{where} is {found} px wide"
        results = await Axe().run(page)
        assert results.violations_count == 0, f"{where} has {results.generate_report()}"


@pytest.mark.parametrize("width", WIDTHS)
async def test_page_at_a_width_neither_overflows_nor_violates_accessibility(
    browser: Browser, example: Example, width: int
) -> None:
    """The pages have names of 125 characters without a blank, and texts as long as they may be."""
    others = {
        "invalid": f"?item=7&job_type={LONG}",
        "not found": "/nowhere",
        "question": "/bulk/retry?status=Failed",
    }
    options: Any = {"viewport": {"width": width, "height": 900}}
    async with open_page(browser, example.url, **options) as page:
        await check(page, "sign-in")
        await sign_in(page)
        for name, path in (example.live | others).items():
            await page.goto(example.url + path)
            if name in example.live:
                await await_live(page)
            if name == "job":
                await expect(page.locator("#timeline .traceback")).to_be_visible()
                await page.locator("#retry summary").click()
            await check(page, name)


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("jobs", 1280, "light"),
        ("jobs", 1280, "dark"),
        ("jobs", 360, "light"),
        ("job", 1280, "light"),
        ("ended", 1280, "light"),
        ("executor", 1280, "light"),
    ],
)
async def test_pictures_of_the_documentation_show_their_page(
    browser: Browser, pictured: Example, name: str, width: int, scheme: str
) -> None:
    """Each is small enough to be read beside the text."""
    options: Any = {
        "viewport": {"width": width, "height": 1000 if name == "job" else 720},
        "color_scheme": scheme,
    }
    async with open_page(browser, pictured.url, **options) as page:
        await sign_in(page)
        await page.goto(pictured.url + pictured.live[name])
        await await_live(page)
        if name == "job":
            await expect(page.locator("#timeline .traceback")).to_be_visible()
            await expect(page.locator("#timeline .note")).to_have_count(0)
        picture = await page.screenshot()
    file = ROOT / "docs" / f"monitor-{name}-{width}-{scheme}.png"
    if WRITES_PICTURES:
        file.write_bytes(picture)

    assert len(picture) < 200_000
    assert file.is_file(), "run `make pictures`"


async def test_times_are_shown_in_the_zone_of_the_browser_also_after_an_update(
    browser: Browser,
) -> None:
    """The title has the time in UTC. Without JavaScript, UTC stays."""
    fold = FoldedJobs()
    first = fold.create()
    made, app = make_monitor(fold)
    async with serve(app) as url:
        shown = []
        for script in (True, False):
            options: Any = {"timezone_id": "Asia/Kolkata", "java_script_enabled": script}
            async with open_page(browser, f"{url}/monitor/jobs/{first}", **options) as page:
                fact = page.locator("#state .facts div", has_text="Created").locator("time")
                if script:
                    await await_live(page)
                    fold.start(first)
                    await expect(page.locator("#state .InProgress")).to_be_visible()
                shown.append((await fact.get_attribute("datetime"), await fact.inner_text()))
                await page.goto(f"{url}/monitor")
                zone = "Asia/(Kolkata|Calcutta)" if script else "UTC"
                await expect(page.locator("#list .zone")).to_have_text(re.compile(zone))
        made.stop()

    (utc, local), (_, plain) = shown
    assert utc is not None
    moved = datetime.fromisoformat(f"{local}+05:30") - datetime.fromisoformat(f"{plain}+00:00")
    assert abs(moved.total_seconds()) < 1
    assert plain == utc[:19].replace("T", " ")


async def test_click_on_copy_copies_the_id(browser: Browser, example: Example) -> None:
    """The button says so."""
    permissions = ["clipboard-read", "clipboard-write"]
    async with open_page(browser, example.url, permissions=permissions) as page:
        await sign_in(page)
        await page.goto(example.url + example.live["job"])
        await await_live(page)
        button = page.get_by_role("button", name="Copy the job's id")
        await button.click()
        await expect(button).to_have_text("Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")

    assert copied == example.live["job"].removeprefix("/jobs/")
