"""The stream of server-sent events that keeps a page up to date."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import NamedTuple

from litestar.response import ServerSentEventMessage

from fabric_jobs.facade.monitor.formatting import today
from fabric_jobs.facade.monitor.pages import Page
from fabric_jobs.facade.replica import Change, Replica

#: Streams at a time: rendering for them takes its share of the loop that everything runs in.
MAX_VIEWERS = 32
#: A page is brought up to date no more often, however many changes come; in seconds.
PERIOD_S = 0.5
#: How often it is looked at where no job changes, and the viewer is told that all is well.
TICK_S = 1.0
#: How soon a browser connects again, in milliseconds.
_RETRY_MS = 1000


class _Viewer(NamedTuple):
    page: Page
    changed: asyncio.Event


class Live:
    """Tells each viewer what has changed on its page: what is not yet sent is not kept."""

    def __init__(self, replica: Replica, render: Callable[[str, object], str]) -> None:
        """`render` makes a part of what it shows, by the name of its template."""
        self._render = render
        self._viewers: set[_Viewer] = set()
        self._stopping = False
        self._turn = asyncio.Lock()
        replica.listeners.add(self._hear)

    @property
    def has_room(self) -> bool:
        """Whether one more may look."""
        return not self._stopping and len(self._viewers) < MAX_VIEWERS

    def stop(self) -> None:
        """Ends every stream."""
        self._stopping = True
        for viewer in self._viewers:
            viewer.changed.set()

    async def stream(
        self, page: Page, may_look: Callable[[], bool]
    ) -> AsyncGenerator[ServerSentEventMessage, None]:
        """The parts of the page, and each again when it has changed, while one may look."""
        # Others may have come since there was room.
        if not self.has_room:
            return
        viewer = _Viewer(page, asyncio.Event())
        self._viewers.add(viewer)
        following = asyncio.create_task(page.follow(viewer.changed.set), name="follow for a viewer")
        sent = dict[str, object]()
        try:
            while may_look() and not self._stopping:
                viewer.changed.clear()
                async with self._turn:
                    news = await self._news(page, sent)
                    # One rendering a round of the loop: whatever else is due comes between.
                    await asyncio.sleep(0)
                for message in news:
                    yield message
                now_ms = int(time.time() * 1000)
                yield ServerSentEventMessage(now_ms, event="alive", retry=_RETRY_MS)
                await asyncio.sleep(PERIOD_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(viewer.changed.wait(), TICK_S)
        finally:
            self._viewers.discard(viewer)
            following.cancel()

    async def _news(self, page: Page, sent: dict[str, object]) -> list[ServerSentEventMessage]:
        """The parts that are not as they were sent, from now on taken for sent."""
        parts = await page.parts()
        # What is of today is written without its day, so at midnight every part is another.
        day = today()
        news = {
            name: content for name, content in parts.items() if sent.get(name) != (day, content)
        }
        sent |= {name: (day, content) for name, content in news.items()}
        return [
            ServerSentEventMessage(self._render(name, content), event=name)
            for name, content in news.items()
        ]

    def _hear(self, change: Change) -> None:
        for viewer in self._viewers:
            if viewer.page.hears(change):
                viewer.changed.set()
