"""The page of job types, and jobs that were replaced, in a browser."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec import Struct
from playwright.async_api import Browser, Locator, Page, expect

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind
from tests.support.chromium import await_live, open_page, serve
from tests.support.monitor import OPERATOR, READER, FoldedJobs, make_monitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = (JobKind("Item", "run"), JobKind("Item", "other"))


class Here(Struct):
    """The URL of a monitor that requires a sign-in, and its jobs."""

    url: str
    fold: FoldedJobs


@pytest_asyncio.fixture(loop_scope="module")
async def here() -> AsyncIterator[Here]:
    """An executor serves two job types, and a job of one of them waits."""
    fold = FoldedJobs()
    fold.add_executor(ExecutorHeartbeat(executor_id="e", slots=1, job_kinds=KINDS))
    fold.create(item_type="Item", job_type="run")
    made, app = make_monitor(fold, tokens=True)
    async with serve(app) as url:
        yield Here(f"{url}/monitor", fold)
        made.stop()


async def sign_in(page: Page, token: str) -> None:
    """Signs in on the page that asks for it."""
    await page.get_by_label("Reader or operator token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


def row_of(page: Page, job_type: str) -> Locator:
    """The row of a job type."""
    return page.locator(f'[id="type-Item-{job_type}"]')


async def test_operator_pauses_a_job_type_with_a_reason_and_resumes_it(
    browser: Browser, here: Here
) -> None:
    """The page and the list of jobs show why and who. Another type is not touched."""
    async with open_page(browser, f"{here.url}/job-types") as page:
        await sign_in(page, OPERATOR)
        row = row_of(page, "run")
        other = row_of(page, "other")
        # The stream's first message replaces each part of the page, which would close the form.
        await await_live(page)
        await row.locator("summary").click()
        await row.get_by_label("Reason").fill("the [b] <reason>")
        await row.get_by_role("button", name="Pause the job type").click()
        await expect(row).to_contain_text("by an operator at the monitor: the [b] <reason>")
        await expect(row).to_contain_text("the oldest job that waits fails at")
        await expect(other).not_to_contain_text("paused")
        assert {kind: one.reason for kind, one in here.fold.controls.paused.items()} == {
            KINDS[0]: "the [b] <reason>"
        }

        await page.goto(here.url)
        await expect(page.locator("main")).to_contain_text("can't start")
        await expect(page.locator("main")).to_contain_text("Item run is paused since")
        await page.go_back()
        await await_live(page)
        await row.get_by_role("button", name="Resume").click()
        await expect(row).not_to_contain_text("by an operator")
        assert here.fold.controls.paused == {}


async def test_reader_sees_the_pause_and_no_button(browser: Browser, here: Here) -> None:
    """The live page still has no button after an operator elsewhere has resumed the type."""
    async with open_page(browser, f"{here.url}/job-types") as operator:
        await sign_in(operator, OPERATOR)
        row = row_of(operator, "run")
        await await_live(operator)
        await row.locator("summary").click()
        await row.get_by_label("Reason").fill("maintenance")
        await row.get_by_role("button", name="Pause the job type").click()
        await expect(row).to_contain_text("maintenance")
        async with open_page(browser, f"{here.url}/job-types") as page:
            await sign_in(page, READER)
            seen = row_of(page, "run")
            await expect(seen).to_contain_text("by an operator at the monitor: maintenance")
            await expect(page.locator("main form, main button")).to_have_count(0)
            await await_live(page)
            await row.get_by_role("button", name="Resume").click()
            await expect(seen).not_to_contain_text("maintenance")
            await expect(page.locator("main form, main button")).to_have_count(0)


async def test_replaced_job_names_the_job_that_took_its_place_in_list_and_pages(
    browser: Browser, here: Here
) -> None:
    """Each names the other, and the links lead there. The ended job is no longer exhausted."""
    ended = here.fold.create(item_type="Item", job_type="other")
    here.fold.start(ended, max_attempts=1)
    here.fold.fail(ended, "no rows")
    async with open_page(browser, here.url) as page:
        await sign_in(page, READER)
        row = page.locator(f"#job-{ended}")
        await expect(row).to_contain_text("all attempts failed")
        new = here.fold.create(item_type="Item", job_type="other", retry_of=ended)
        await page.reload()
        await expect(row).to_contain_text("replaced by")
        await expect(row).not_to_contain_text("all attempts failed")
        await row.locator(f'a[href$="/jobs/{new}"]').click()
        await expect(page.locator("#state")).to_contain_text("Retry of")
        await page.locator(f'#state a[href$="/jobs/{ended}"]').click()
        await expect(page.locator("#state")).to_contain_text("replaced by")
        await expect(page.locator(f'#state a[href$="/jobs/{new}"]')).to_have_count(1)
        assert uuid.UUID(new) != uuid.UUID(ended)
