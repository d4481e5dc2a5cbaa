"""A page of the monitor in Chromium, and the monitor on a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar.types import ASGIApp
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page

from fabric_jobs.facade.http import HttpServer

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: How long the browser may take for what is expected of it, in milliseconds.
PATIENCE_MS = 15_000


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The address of the application, on a real socket."""
    server = HttpServer(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    try:
        yield f"http://{server.address}"
    finally:
        await server.stop()
        await serving


@asynccontextmanager
async def opened(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """The page, on which nothing happens that its policy forbids, and no script fails."""
    faults = list[str]()

    async def dialog(shown: Dialog) -> None:
        faults.append(f"dialog: {shown.message}")
        await shown.dismiss()

    def console(message: ConsoleMessage) -> None:
        # Also told of there: answers that are errors, which are for the page to tell.
        if "Content Security Policy" in message.text:
            faults.append(message.text)

    session = await browser.new_context(**context)
    session.set_default_timeout(PATIENCE_MS)
    page = await session.new_page()
    page.on("dialog", dialog)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", console)
    try:
        await page.goto(url)
        yield page
    finally:
        await session.close()
    assert not faults, faults


async def is_live(page: Page) -> None:
    """Returns once the page says so."""
    await page.locator('#live[data-state="live"]').wait_for()
