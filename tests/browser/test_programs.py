"""The job monitor of a real facade with an executor, watched in a browser."""

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import Struct
from playwright.async_api import Browser, Page, expect

from fabric_jobs.facade.monitor.advice import ADVICE_BY_CODE
from tests.support.brokers import Cluster
from tests.support.chromium import await_live, open_page
from tests.support.programs import (
    HANDLERS,
    Fabric,
    Program,
    addresses,
    await_content,
    executor,
    facade,
    new_id,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Stack(Struct):
    """A facade that can be killed and restarted, and its executor."""

    environment: dict[str, str]
    replica: Program
    running: AsyncExitStack

    @property
    def url(self) -> str:
        """The monitor's URL."""
        return self.replica.ready["monitor"]

    async def restart(self) -> None:
        """Restart the facade on the same ports."""
        environment = self.environment | addresses(self.replica)
        self.replica = await self.running.enter_async_context(facade(**environment))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(embedded: Cluster) -> AsyncIterator[Stack]:
    """A stack on the embedded broker, which keeps running without the facade."""
    name = f"test.{uuid.uuid4()}"
    environment = embedded.environment(name) | {
        "FABRIC_JOBS_MONITOR": "true",
    }
    async with AsyncExitStack() as running:
        replica = await running.enter_async_context(facade(**environment))
        await running.enter_async_context(executor(HANDLERS, replica, **environment))
        yield Stack(environment, replica, running)


async def journaled(stack: Stack, folder: Path) -> tuple[str, Path]:
    """Create a job that runs until a file exists; its id, and the file's path."""
    job_id, until = new_id(), folder / new_id()
    async with Fabric(stack.replica, "journaled") as fabric:
        payload = {"journal": str(folder / "journal"), "until": str(until)}
        assert (await fabric.create(job_id, payload)).status_code == 202
    return job_id, until


async def mark_page(page: Page) -> None:
    """Mark the page, so that a reload is detected."""
    await page.evaluate("window.marked = true")


async def test_live_pages_show_a_job_from_its_start_to_its_end(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    """The list and the job's own page change without a reload."""
    async with open_page(browser, stack.url) as page, open_page(browser, stack.url) as own:
        await await_live(page)
        await mark_page(page)
        job_id, until = await journaled(stack, tmp_path)
        row = page.locator(f"#job-{job_id}")
        await expect(row).to_contain_text("InProgress")
        await expect(row.get_by_role("progressbar")).to_have_attribute("value", "0.5")
        await own.goto(f"{stack.url}/jobs/{job_id}")
        await expect(own.locator("#state")).to_contain_text("half way")
        await expect(own.locator("#timeline tbody th")).to_have_text(
            ["requested", "started", "progressed"]
        )
        until.touch()
        await expect(row).to_contain_text("Completed")
        await expect(own.locator("#timeline tbody th")).to_have_text(
            ["requested", "started", "progressed", "completed"]
        )
        await expect(own.locator("#state .status")).to_have_text("Completed")
        await expect(own.locator("#cancel")).to_have_count(0)
        assert await page.evaluate("window.marked")


async def test_cancel_button_cancels_a_running_job(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    """The executor stops the run, and the page shows the end."""
    job_id, _ = await journaled(stack, tmp_path)
    async with open_page(browser, f"{stack.url}/jobs/{job_id}") as page:
        await expect(page.locator("#state .status")).to_have_text("InProgress")
        # The stream's first message replaces each part of the page, which would close the summary.
        await await_live(page)
        await page.locator("#cancel summary").click()
        await page.get_by_role("button", name="Cancel the job").click()
        await expect(page.locator("#state .status")).to_have_text("Cancelled")
        await expect(page.locator("#timeline tbody th")).to_have_text(
            ["requested", "started", "progressed", "cancel-requested", "cancelled"]
        )


async def test_page_of_a_failed_job_shows_the_error_advice_and_traceback(
    browser: Browser, stack: Stack
) -> None:
    """The error is at the top, and the traceback is in the row of the failure."""
    job_id = new_id()
    async with Fabric(stack.replica, "raises") as fabric:
        await fabric.create(job_id)
    async with open_page(browser, f"{stack.url}/jobs/{job_id}") as page:
        failure = page.locator("#state .failure")
        await expect(failure).to_contain_text("HandlerError ValueError: no such region")
        await expect(failure).to_contain_text(ADVICE_BY_CODE["HandlerError"])
        await expect(page.locator("#timeline tbody tr").last).to_contain_text(
            'raise ValueError("no such region")'
        )


async def test_executors_page_shows_slots_and_job_types(browser: Browser, stack: Stack) -> None:
    """The page shows the last heartbeat of each executor."""
    async with open_page(browser, f"{stack.url}/executors") as page:
        await expect(page.locator("#executors tbody tr")).to_have_count(1)
        await expect(page.locator("#executors tbody tr")).to_contain_text("Test.Item quick")
        await expect(page.locator("#executors tbody tr")).to_contain_text(" of 10")


async def test_page_without_its_facade_is_not_live_and_catches_up_later(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    """While the facade is away, no duration counts on and nothing is called live."""
    job_id, until = await journaled(stack, tmp_path)
    async with open_page(browser, stack.url) as page:
        row = page.locator(f"#job-{job_id}")
        await expect(row).to_contain_text("InProgress")
        await await_live(page)
        await mark_page(page)
        await await_content(tmp_path / "journal")  # the executor has its grant
        await stack.replica.kill()
        told = page.get_by_role("status")
        await expect(told).to_have_text(re.compile(r"Not live since \d\d:\d\d:\d\d:"))
        before = await row.inner_text()
        # More than a second, after which a live duration would have changed.
        await page.wait_for_timeout(1500)
        assert await row.inner_text() == before
        until.touch()
        await stack.restart()
        async with Fabric(stack.replica) as fabric:
            await fabric.create(new := new_id())
        await expect(told).to_have_text("Live")
        # The executor is back some seconds after the page.
        await expect(row).to_contain_text("Completed", timeout=30_000)
        await expect(page.locator(f"#job-{new}")).to_be_visible()
        assert await page.evaluate("window.marked")
