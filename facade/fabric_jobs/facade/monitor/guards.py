"""Guards of the monitor's routes: the role of the user, and the origin of the request."""

from typing import Any
from urllib.parse import SplitResult, urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from fabric_jobs.facade.monitor.access import MonitorAccess, Viewer
from fabric_jobs.runtime.settings import names_loopback

COOKIE = "fabric-jobs-monitor"
_READ_METHODS = ("GET", "HEAD")
#: Headers that proxies and tunnels add: with one, the request may come from another machine.
_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host")

Connection = ASGIConnection[Any, Any, Any, Any]


class Guards:
    """Guards as Litestar calls them; they raise HTTP exceptions."""

    def __init__(self, access: MonitorAccess) -> None:
        self._access = access

    def viewer(self, connection: Connection) -> Viewer | None:
        """Returns who is signed in, or None if nobody is."""
        return self._access.viewer(connection.cookies.get(COOKIE))

    def is_operator(self, connection: Connection) -> bool:
        """Returns whether the signed-in user may change something."""
        viewer = self.viewer(connection)
        return viewer is not None and viewer.is_operator

    def signature(self, connection: Connection) -> str:
        """Returns who is signed in, as others read it beside a change."""
        viewer = self.viewer(connection)
        return viewer.signature if viewer else ""

    def check_role(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Requires a sign-in, and the operator's role for any method that changes something."""
        viewer = self.viewer(connection)
        if viewer is None:
            raise NotAuthorizedException("Sign in first.")
        if connection.scope.get("method") not in _READ_METHODS and not viewer.is_operator:
            raise PermissionDeniedException("Only an operator may do this. Sign in as one.")

    def check_origin(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Refuses changes from another site's page and, without a sign-in, remote requests."""
        if connection.scope.get("method") not in _READ_METHODS and _is_cross_site(connection):
            raise PermissionDeniedException(
                "A page of another site sent this request. Open the monitor itself."
            )
        if self._access.is_open and not _is_local(connection):
            raise PermissionDeniedException(
                "Without a sign-in, the monitor serves this machine only, by the name localhost "
                "and without a proxy. Set FABRIC_JOBS_MONITOR_OPERATOR_TOKEN to require a sign-in."
            )


def _is_cross_site(connection: Connection) -> bool:
    """Returns whether a page of another site sent the request, by the browser's two headers."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site != "same-origin"
    origin = connection.headers.get("origin")
    return origin is not None and _split(origin).netloc != connection.headers.get("host")


def _is_local(connection: Connection) -> bool:
    """Returns whether the request comes from this machine, under a name of loopback."""
    headers = connection.headers
    is_named = names_loopback(headers.get("host", ""))
    return is_named and not any(name in headers for name in _PROXY_HEADERS)


def _split(url: str) -> SplitResult:
    """Returns the parts of a URL; they are empty if the text is not a URL."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
