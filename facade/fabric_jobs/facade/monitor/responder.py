"""Answers requests with pages and with the streams that keep them up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.response import ServerSentEvent

from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.live import LiveUpdates
from fabric_jobs.facade.monitor.pages import Page
from fabric_jobs.facade.monitor.query import QueryError
from fabric_jobs.facade.monitor.render import Renderer
from fabric_jobs.facade.monitor.sorting import UnknownColumnError

AnyRequest = Request[Any, Any, Any]


class Responder:
    """Makes responses of pages."""

    def __init__(self, renderer: Renderer, guards: Guards, live: LiveUpdates) -> None:
        self._renderer = renderer
        self._guards = guards
        self._live = live

    async def render(
        self, request: AnyRequest, page: Page, live_url: str, status: int = 200
    ) -> Response[str]:
        """Returns the page. `live_url` is the path of its stream; empty if it has none."""
        html = self._renderer.render_page(
            page.template,
            self._guards.viewer(request),
            await page.load_parts(),
            page=page,
            live_url=live_url,
            now=datetime.now(UTC),
        )
        return Response(html, media_type=MediaType.HTML, status_code=status)

    def stream(self, request: AnyRequest, page: Page) -> ServerSentEvent:
        """Returns the stream of the page, or raises `HTTPException` if there are too many."""
        if not self._live.has_room:
            raise HTTPException("Too many pages of this monitor are open.", status_code=503)
        # The session may end while the page is open.
        return ServerSentEvent(
            self._live.stream(page, lambda: self._guards.viewer(request) is not None)
        )


@contextmanager
def map_query_errors() -> Iterator[None]:
    """Raises `HTTPException` for a URL's query that is invalid."""
    try:
        yield
    except (QueryError, UnknownColumnError) as error:
        raise HTTPException(str(error), status_code=400) from None
