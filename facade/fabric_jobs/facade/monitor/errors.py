"""Error pages: every failed request of the monitor gets one."""

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from fabric_jobs.facade.jobs.errors import UnavailableError, as_unavailable
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.render import PATH, Renderer

log = logging.getLogger("fabric_jobs.monitor")

_MESSAGES = {
    404: "This page does not exist.",
    405: "This page does not support this method.",
    413: "The form is too large.",
}


class ErrorPages:
    """Renders exceptions as error pages."""

    def __init__(self, renderer: Renderer, guards: Guards) -> None:
        self._renderer = renderer
        self._guards = guards

    def respond(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """Returns the error page of an exception, or a redirect to the sign-in if it is missing."""
        # Not `request.url`, which fails for some Host headers and queries.
        path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
        error = as_unavailable(error) or error
        match error:
            case HTTPException(status_code=401) if not path.endswith("/live"):
                page_url = f"{path}?{query}" if query else path
                # A form is not sent again after the sign-in, so a POST leads to the first page.
                target = urlencode({"next": page_url if request.method == "GET" else PATH})
                return Redirect(f"{PATH}/sign-in?{target}", status_code=303)
            case HTTPException(status_code=status) if status < 500:
                message = error.detail
                # An error of the framework itself repeats the status only.
                if message in (HTTPStatus(status).phrase, ""):
                    message = _MESSAGES.get(status, HTTPStatus(status).description)
            case HTTPException(status_code=503):
                status, message = 503, error.detail
            case UnavailableError():
                status, message = 503, str(error)
            case _:
                log.error("%s %s failed", request.method, path, exc_info=error)
                status, message = 500, "The service has a fault. Its log has the details."
        title = HTTPStatus(status).phrase
        viewer = self._guards.viewer(request)
        page = self._renderer.render_page("error.html", viewer, title=title, message=message)
        return Response(page, status_code=status, media_type=MediaType.HTML)
