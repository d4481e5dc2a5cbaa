"""A real browser for the tests of one file."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support.chromium import ARGUMENTS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        await running.close()
