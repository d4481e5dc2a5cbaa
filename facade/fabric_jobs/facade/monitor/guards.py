"""Who is let in to the pages, and from where."""

from typing import Any
from urllib.parse import SplitResult, urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from fabric_jobs.facade.monitor.access import MonitorAccess, MonitorRole
from fabric_jobs.runtime.settings import is_loopback

COOKIE = "fabric-jobs-monitor"
_READING = ("GET", "HEAD")
#: What proxies and tunnels add: behind one, anybody may have sent what comes from this machine.
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host")

Connection = ASGIConnection[Any, Any, Any, Any]


class Guards:
    """The framework's guards: they raise what an error is made of."""

    def __init__(self, access: MonitorAccess) -> None:
        self._access = access

    def role(self, connection: Connection) -> MonitorRole | None:
        """Of whoever is signed in."""
        return self._access.role(connection.cookies.get(COOKIE))

    def check_role(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Who does not read must be an operator."""
        role = self.role(connection)
        if role is None:
            raise NotAuthorizedException("Sign in first.")
        if connection.scope.get("method") not in _READING and role is not MonitorRole.OPERATOR:
            raise PermissionDeniedException("Only an operator may do this: sign in as one.")

    def check_origin(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Another site's pages neither send anything here nor read what is open to this machine."""
        if connection.scope.get("method") not in _READING and _is_from_elsewhere(connection):
            raise PermissionDeniedException("Another site's page sent this: go to the monitor.")
        if self._access.is_open and not _is_from_here(connection):
            raise PermissionDeniedException(
                "Without a sign-in the monitor is for this machine, under the name of localhost "
                "and through no proxy. Set FABRIC_JOBS_MONITOR_OPERATOR_TOKEN to have one."
            )


def _is_from_elsewhere(connection: Connection) -> bool:
    """A browser says it of every such request, by either of two headers."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site != "same-origin"
    origin = connection.headers.get("origin")
    return origin is not None and _split(origin).netloc != connection.headers.get("host")


def _is_from_here(connection: Connection) -> bool:
    """The name counts by which the browser knows us: anybody may give one to 127.0.0.1."""
    headers = connection.headers
    name = _split(f"//{headers.get('host', '')}").hostname or ""
    return is_loopback(name) and not any(passed in headers for passed in _PASSED_ON)


def _split(url: str) -> SplitResult:
    """A text that is no URL has no parts."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
