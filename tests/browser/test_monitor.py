"""The job monitor in a browser, on a replica that the test fills."""

import asyncio
import itertools
import re
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec.structs import replace
from playwright.async_api import Browser, Page, expect

from fabric_jobs.contract.events import Requested
from fabric_jobs.facade.monitor import live
from fabric_jobs.facade.monitor.job_list import PAGE_ROWS
from tests.support.chromium import await_live, open_page, serve
from tests.support.monitor import OPERATOR, FoldedJobs, make_monitor
from tests.support.openid_provider import OpenIdProvider, people_at

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "</td></script><script>alert(1)</script>'\"><img src=x onerror=alert(2)>"
ROWS = 10_000
#: The number of updates during which a thousand changes a second come.
UPDATES = 4


class Here(msgspec.Struct):
    """The URL of a monitor, and its jobs."""

    url: str
    fold: FoldedJobs


@pytest_asyncio.fixture(loop_scope="module")
async def here() -> AsyncIterator[Here]:
    """A monitor that this machine may use without a sign-in."""
    fold = FoldedJobs()
    made, app = make_monitor(fold)
    async with serve(app) as url:
        yield Here(f"{url}/monitor", fold)
        made.stop()


def many(fold: FoldedJobs, count: int) -> None:
    """Create waiting jobs, one per millisecond; each job type has the job's number."""
    events = []
    fold.replica.listeners.add(lambda change: events.append(change.event))
    fold.create()
    (event,) = events
    assert isinstance(event, Requested)
    state = event.data.state
    fold.apply(
        [
            replace(
                event,
                id=str(uuid.uuid4()),
                subject=str(uuid.uuid4()),
                data=replace(
                    event.data,
                    state=replace(
                        state,
                        job_type=f"number-{number}",
                        create_time=state.create_time + timedelta(milliseconds=number),
                    ),
                ),
            )
            for number in range(1, count)
        ]
    )


async def count_updates(page: Page) -> None:
    """Begin to count the updates of the list."""
    await page.evaluate(
        """() => {
          window.updates = 0;
          document.body.addEventListener("htmx:sseMessage", ({detail}) => {
            if (detail.type === "list") window.updates++;
          });
        }"""
    )


async def test_markup_in_texts_is_shown_and_never_run(browser: Browser, here: Here) -> None:
    """This holds on each page when it is loaded and when it is updated."""
    payload = msgspec.json.encode({EVIL: "javascript:alert(3)"})
    job_id = here.fold.create(item_type=EVIL, job_type=EVIL, payload=payload)
    async with open_page(browser, here.url) as page:
        await await_live(page)
        await expect(page.get_by_role("row").filter(has_text=EVIL)).to_be_visible()
        await page.goto(f"{here.url}/jobs/{job_id}")
        await await_live(page)
        await expect(page.locator("pre")).to_contain_text("javascript:alert(3)")
        here.fold.start(job_id)
        here.fold.progress(job_id, 0.5, EVIL)
        await expect(page.locator("#state")).to_contain_text(EVIL)
        here.fold.fail(job_id, EVIL, code=EVIL, traceback=EVIL)
        await expect(page.locator("#state .failure strong")).to_have_text(EVIL)
        await expect(page.locator("#timeline .traceback")).to_have_text(EVIL)
        assert await page.locator("main img, main script").count() == 0


async def test_list_of_ten_thousand_jobs_is_paged(browser: Browser, here: Here) -> None:
    """Each page has its own URL and number of rows, and Back leads to the page before."""
    many(here.fold, ROWS)
    rows = '#list tbody tr[id^="job-"]'
    async with open_page(browser, here.url) as page:
        await expect(page.locator("#summary")).to_contain_text(f"{ROWS:,}")
        for number in range(2):
            await expect(page.locator(rows)).to_have_count(PAGE_ROWS)
            newest = ROWS - 1 - number * PAGE_ROWS
            await expect(page.locator(rows).first).to_contain_text(f"number-{newest} ")
            await page.get_by_role("link", name="Older").click()
        # Wait for the page, because `go_back` before it is loaded would leave another page.
        await expect(page.locator(rows).first).to_contain_text(f"number-{newest - PAGE_ROWS} ")
        await page.go_back()
        await expect(page.locator(rows).first).to_contain_text(f"number-{newest} ")
        await page.get_by_role("link", name="Newest").click()
        await expect(page.locator(rows).first).to_contain_text(f"number-{ROWS - 1} ")


async def test_page_with_a_thousand_changes_a_second_updates_twice_a_second(
    browser: Browser, here: Here
) -> None:
    """After the last change, the page shows the newest state."""
    jobs = [here.fold.create() for _ in range(PAGE_ROWS)]
    for job_id in jobs:
        here.fold.start(job_id)

    async def storm() -> None:
        begun = time.monotonic()
        for change in itertools.count():
            here.fold.progress(jobs[change % PAGE_ROWS], change * 7 % 1009 / 1009)
            await asyncio.sleep(begun + change / 1000 - time.monotonic())

    async with open_page(browser, here.url) as page:
        await await_live(page)
        await count_updates(page)
        begun = time.monotonic()
        changing = asyncio.create_task(storm())
        try:
            # Poll from here, because the page's policy forbids Playwright's wait in the page.
            while await page.evaluate("window.updates") < UPDATES:
                await asyncio.sleep(0.05)
        finally:
            changing.cancel()
        for job_id in jobs:
            here.fold.complete(job_id)
        await expect(page.locator("#list .Completed")).to_have_count(PAGE_ROWS)
        counted = await page.evaluate("window.updates")
        passed = time.monotonic() - begun

    assert counted <= 2 * passed + 1


async def test_page_beyond_the_maximum_of_viewers_becomes_live_later(
    browser: Browser, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is shown at once, says that it is not live, and tries again by itself."""
    first = here.fold.create()
    monkeypatch.setattr(live, "MAX_VIEWERS", 0)
    async with open_page(browser, here.url) as page:
        await expect(page.get_by_role("status")).to_contain_text("Not live since")
        await expect(page.locator(f"#job-{first}")).to_be_visible()
        later = here.fold.create()
        monkeypatch.setattr(live, "MAX_VIEWERS", 1)
        await await_live(page)
        await expect(page.locator(f"#job-{later}")).to_be_visible()
        last = here.fold.create()
        await expect(page.locator(f"#job-{last}")).to_be_visible()


async def test_list_filters_are_in_the_url_and_survive_a_reload(
    browser: Browser, here: Here
) -> None:
    """A filtered list is live too: jobs that match appear, and others do not."""
    wanted, other = (here.fold.create(job_type=name) for name in ("nightly", "hourly"))
    async with open_page(browser, here.url) as page:
        await page.get_by_label("NotStarted", exact=True).check()
        await page.get_by_label("Job type").fill("nightly")
        await page.get_by_label("Job type").press("Enter")
        await page.wait_for_url("**/monitor?*status=NotStarted&job_type=nightly*")
        for _ in range(2):
            await await_live(page)
            await expect(page.locator(f"#job-{wanted}")).to_be_visible()
            await expect(page.locator(f"#job-{other}")).to_have_count(0)
            await expect(page.get_by_label("NotStarted", exact=True)).to_be_checked()
            await page.reload()
        await await_live(page)
        late = here.fold.create(job_type="nightly")
        await expect(page.locator(f"#job-{late}")).to_be_visible()
        here.fold.start(wanted)
        await expect(page.locator(f"#job-{wanted}")).to_have_count(0)


async def test_monitor_without_javascript_shows_and_does_everything(
    browser: Browser, here: Here
) -> None:
    """Plain links and forms are enough, and the page shows its time."""
    job_id = here.fold.create(job_type="nightly")
    async with open_page(browser, here.url, java_script_enabled=False) as page:
        await expect(page.locator("#live")).to_have_text(re.compile(r"As of \d{4}-.* UTC"))
        await page.get_by_label("Job type").fill("nightly")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name=job_id[:8]).click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(job_id)
        await expect(page.locator("pre")).to_contain_text('"region": "north"')
        await page.get_by_role("link", name="Read the events from the log").click()
        await expect(page.locator("#timeline")).to_contain_text("Kafka did not answer")
        await page.locator("#cancel summary").click()
        await page.get_by_role("button", name="Cancel the job").click()
        await expect(page.locator("#state .status")).to_have_text("Cancelled")
        await page.get_by_label("Job id").fill(job_id.upper())
        await page.get_by_role("button", name="Find").click()
        await page.wait_for_url(f"**/jobs/{job_id}")
        await page.get_by_role("link", name="Executors").click()
        await expect(page.get_by_text("No executor is connected")).to_be_visible()


async def test_keyboard_reaches_every_link_and_keeps_its_focus(
    browser: Browser, here: Here
) -> None:
    """The focus stays while the rows around it change."""
    job_id = here.fold.create()
    async with open_page(browser, here.url) as page:
        await await_live(page)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        link = page.get_by_role("link", name=job_id[:8])
        async with asyncio.timeout(10):
            while not await link.evaluate("link => link === document.activeElement"):
                await page.keyboard.press("Tab")
        here.fold.start(job_id)
        here.fold.progress(job_id, 0.5)
        later = here.fold.create()
        await expect(page.locator(f"#job-{later}")).to_be_visible()
        await expect(page.locator(f"#job-{job_id} .InProgress")).to_be_visible()
        await expect(link).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/jobs/{job_id}")


async def test_list_has_the_roles_that_a_screen_reader_needs(browser: Browser, here: Here) -> None:
    """It has a caption, headers of columns and rows, and a status that is more than a colour."""
    job_id = here.fold.create()
    here.fold.start(job_id)
    here.fold.progress(job_id, 0.5)
    async with open_page(browser, here.url) as page:
        row = page.get_by_role("row", name=job_id[:8])
        await expect(page.get_by_role("table", name="Jobs, newest first")).to_be_visible()
        await expect(page.get_by_role("columnheader")).to_have_count(10)
        await expect(row.get_by_role("rowheader")).to_have_text(job_id[:8])
        bar = row.get_by_role("progressbar", name=f"Progress of job {job_id[:8]}")
        await expect(bar).to_have_attribute("value", "0.5")
        await expect(row).to_contain_text("InProgress")
        await expect(page.get_by_role("status")).to_have_text("Live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_have_the_contrast_of_wcag_aa(
    browser: Browser, here: Here, scheme: str
) -> None:
    """The contrast is 4.5 to 1 or more, in both themes."""
    waits, runs, failed, cancelled, completed = (here.fold.create() for _ in range(5))
    for job_id in (runs, failed, completed):
        here.fold.start(job_id)
    here.fold.progress(runs, 0.5, "half way")
    here.fold.fail(failed, "no")
    here.fold.complete(completed)
    here.fold.cancel(cancelled)
    async with open_page(browser, here.url, color_scheme=scheme) as page:
        for path in ("", f"/jobs/{failed}", f"/jobs/{waits}"):
            await page.goto(here.url + path)
            await await_live(page)
            assert await page.evaluate(_FAINT) == []


async def test_sign_in_leads_to_the_page_that_was_asked_for(browser: Browser) -> None:
    """After the sign-out, the page asks for a sign-in again."""
    fold = FoldedJobs()
    job_id = fold.create()
    made, app = make_monitor(fold, tokens=True)
    async with serve(app) as url, open_page(browser, f"{url}/monitor/jobs/{job_id}") as page:
        await page.get_by_label("Reader or operator token").fill("a guess")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("neither the readers")
        await page.get_by_label("Reader or operator token").fill(OPERATOR)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"**/jobs/{job_id}")
        await await_live(page)
        await page.locator("#cancel summary").click()
        await page.get_by_role("button", name="Cancel the job").click()
        await expect(page.locator("#state .status")).to_have_text("Cancelled")
        # A link on another site, such as in a chat.
        await page.goto("about:blank")
        await page.set_content(f'<a href="{url}/monitor/executors">shared</a>')
        await page.get_by_role("link", name="shared").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Executors")
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/sign-in")
        await page.go_back()
        await page.wait_for_url("**/sign-in?next=*executors")
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        made.stop()


async def test_person_signs_in_at_a_provider_and_is_back_on_the_page(browser: Browser) -> None:
    """The browser keeps the cookie of the sign-in while it is at the provider."""
    fold = FoldedJobs()
    job_id = fold.create()
    apps: list[ASGIApp] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[0](scope, receive, send)

    with OpenIdProvider() as provider:
        async with serve(app) as url:
            people = people_at(provider, f"{url}/monitor")
            made, monitor = make_monitor(fold, tokens=True, people=people)
            apps.append(monitor)
            async with open_page(browser, f"{url}/monitor/jobs/{job_id}") as page:
                await page.get_by_role("link", name="Sign in with your organization").click()
                await page.wait_for_url(f"**/jobs/{job_id}")
                await await_live(page)
                await expect(page.get_by_text("Ann Smith (operator)")).to_be_visible()
                await page.get_by_role("button", name="Sign out").click()
                await page.wait_for_url("**/sign-in")
            made.stop()


#: A script that returns each text with too low a contrast, and the contrast.
_FAINT = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = channels(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const texts = [...node.childNodes].filter(one => one.nodeType === 3 && one.data.trim());
    if (!texts.length || !node.checkVisibility()) continue;
    const [a, b] = [channels(getComputedStyle(node).color), ground(node)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${texts[0].data.trim()}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
