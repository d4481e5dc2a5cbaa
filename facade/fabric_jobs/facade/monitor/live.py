"""The stream of server-sent events that keeps a page in the browser up to date."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import NamedTuple

from litestar.response import ServerSentEventMessage

from fabric_jobs.facade.jobs.errors import UnavailableError, map_log_errors
from fabric_jobs.facade.monitor.formatting import today
from fabric_jobs.facade.monitor.pages import Page
from fabric_jobs.facade.replica import Change, Replica

log = logging.getLogger("fabric_jobs.monitor")

#: Bound of the streams of a replica. Rendering for them shares the replica's only event loop.
MAX_VIEWERS = 32
#: Seconds between two updates of a page, however many changes come.
UPDATE_INTERVAL_S = 0.5
#: Seconds without a change after which a page is checked again and a sign of life is sent.
CHECK_INTERVAL_S = 1.0
#: Milliseconds after which a browser reconnects.
_RETRY_MS = 1000


class _Viewer(NamedTuple):
    page: Page
    changed: asyncio.Event


class LiveUpdates:
    """Streams the changed parts of their page to all viewers."""

    def __init__(self, replica: Replica, render_part: Callable[[str, object], str]) -> None:
        """`render_part` renders the content of a part, which it gets by name."""
        self._render_part = render_part
        self._viewers: set[_Viewer] = set()
        self._stopping = False
        #: Held while a page is rendered: one viewer's at a time.
        self._rendering = asyncio.Lock()
        replica.listeners.add(self._on_change)

    @property
    def has_room(self) -> bool:
        """Whether one more viewer may connect."""
        return not self._stopping and len(self._viewers) < MAX_VIEWERS

    def stop(self) -> None:
        """Ends every stream."""
        self._stopping = True
        for viewer in self._viewers:
            viewer.changed.set()

    async def stream(
        self, page: Page, may_read: Callable[[], bool]
    ) -> AsyncGenerator[ServerSentEventMessage, None]:
        """Yields every part of the page once, then each part that has changed.

        The stream ends when `may_read` returns False, when the facade stops, or when the log or
        the state file can't be read. The browser connects again after `_RETRY_MS`.
        """
        # Other viewers may have connected since the caller checked.
        if not self.has_room:
            return
        viewer = _Viewer(page, asyncio.Event())
        self._viewers.add(viewer)
        background = asyncio.create_task(_run_background(viewer), name="work of a monitor page")
        sent = dict[str, object]()
        try:
            while may_read() and not self._stopping:
                viewer.changed.clear()
                async with self._rendering:
                    with map_log_errors():
                        messages = await self._render_changes(page, sent)
                    # Other work of the event loop runs between two renderings.
                    await asyncio.sleep(0)
                for message in messages:
                    yield message
                now_ms = int(time.time() * 1000)
                yield ServerSentEventMessage(now_ms, event="alive", retry=_RETRY_MS)
                await asyncio.sleep(UPDATE_INTERVAL_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(viewer.changed.wait(), CHECK_INTERVAL_S)
        except UnavailableError as error:
            _log_unavailable(error)
        finally:
            self._viewers.discard(viewer)
            background.cancel()

    async def _render_changes(
        self, page: Page, sent: dict[str, object]
    ) -> list[ServerSentEventMessage]:
        """Renders the parts whose content differs from `sent`, and notes them there as sent."""
        parts = await page.load_parts()
        # The day belongs to the comparison, because a time of today is shown without its date.
        day = today()
        changed = {
            name: content for name, content in parts.items() if sent.get(name) != (day, content)
        }
        sent |= {name: (day, content) for name, content in changed.items()}
        return [
            ServerSentEventMessage(self._render_part(name, content), event=name)
            for name, content in changed.items()
        ]

    def _on_change(self, change: Change) -> None:
        for viewer in self._viewers:
            if viewer.page.note_change(change):
                viewer.changed.set()


async def _run_background(viewer: _Viewer) -> None:
    """Does the background work of the viewer's page, and logs why it failed if it does."""
    try:
        with map_log_errors():
            await viewer.page.run_background(viewer.changed.set)
    except UnavailableError as error:
        _log_unavailable(error)
    except Exception:
        log.exception("the background work of a monitor page failed")


def _log_unavailable(error: UnavailableError) -> None:
    log.info("a page of the monitor is not updated now: %s", error)
