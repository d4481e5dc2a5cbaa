"""Every answer that is no success, as a page."""

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from fabric_jobs.facade.jobs.errors import UnavailableError
from fabric_jobs.facade.monitor.render import PATH, Renderer

log = logging.getLogger("fabric_jobs.monitor")

_ADVICE = {
    404: "There is no such page.",
    405: "This page does not take that.",
    413: "That is too much for a sign-in.",
}


class Errors:
    """Makes pages of errors."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def respond(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The page for whatever was raised; who is not signed in is led there."""
        # Not `request.url`, which can't be made of every Host and query that are sent.
        path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
        match error:
            case HTTPException(status_code=401) if not path.endswith("/live"):
                wanted = f"{path}?{query}" if query else path
                # What was sent by a form is not sent again.
                asked = urlencode({"next": wanted if request.method == "GET" else PATH})
                return Redirect(f"{PATH}/sign-in?{asked}", status_code=303)
            case HTTPException(status_code=status) if status < 500:
                message = error.detail
                # What the framework raises of itself says no more than the status.
                if message in (HTTPStatus(status).phrase, ""):
                    message = _ADVICE.get(status, HTTPStatus(status).description)
            case HTTPException(status_code=503) | UnavailableError():
                status, message = 503, str(getattr(error, "detail", error))
            case _:
                log.error("%s %s failed", request.method, path, exc_info=error)
                status, message = 500, "This is a fault of the service, and was logged."
        title = HTTPStatus(status).phrase
        page = self._renderer.page("error.html", title=title, message=message)
        return Response(page, status_code=status, media_type=MediaType.HTML)
