"""Opens pages of the monitor in Chromium, and serves the monitor on a socket."""

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
#: Milliseconds that the browser may take until an expectation holds.
PATIENCE_MS = 15_000


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the application on a real socket; its URL."""
    server = HttpServer(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    try:
        yield f"http://{server.address}"
    finally:
        await server.stop()
        await serving


@asynccontextmanager
async def open_page(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """Open a page. At the end, no script has failed and none has violated the page's policy."""
    faults = list[str]()

    async def dialog(shown: Dialog) -> None:
        faults.append(f"dialog: {shown.message}")
        await shown.dismiss()

    def console(message: ConsoleMessage) -> None:
        # The console also lists error answers, which the page itself shows.
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


async def await_live(page: Page) -> None:
    """Return once the page shows that it is live."""
    await page.locator('#live[data-state="live"]').wait_for()
