"""The HTTP client that MSAL uses: with time limits, and with the authorities that a setting names.

It needs the extra `on-behalf-of`, so import this module only if on-behalf-of is configured.
"""

import socket
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from ssl import TLSVersion
from typing import Any

import requests
from requests.adapters import HTTPAdapter

#: Seconds that one request to the authority may take to connect, and between two reads.
TIMEOUT_S = 5.0
#: TCP probes an idle connection once a minute, and gives it up after 30 s without an answer. So a
#: NAT or a firewall does not forget the connection. On a forgotten one, a request would fail only
#: after `TIMEOUT_S`, and a create waits for less. Not every system has all of these options.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # as in the default of `requests`
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
_CONNECTION: dict[str, Any] = {
    "ssl_minimum_version": TLSVersion.TLSv1_2,
    "socket_options": _SOCKET_OPTIONS,
}


class _Adapter(HTTPAdapter):
    """Connects with TLS 1.2 or newer, whatever the default of the libraries and of OpenSSL is.

    It keeps idle connections alive.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Makes the pool of the direct connections."""
        super().init_poolmanager(*arguments, **options | _CONNECTION)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Makes the pool of the connections through a proxy."""
        return super().proxy_manager_for(proxy, **options | _CONNECTION)


class HttpClient(requests.Session):
    """A session of `requests` for any number of threads."""

    def __init__(self, ca_file: Path | None) -> None:
        """`ca_file` holds the authorities that sign the server's certificate, if not the system's.

        `requests` prefers environment variables to the session's own `verify`, but not to that of a
        request.
        """
        super().__init__()
        self.mount("https://", _Adapter())
        self._ca_file = str(ca_file) if ca_file else None
        # All tenants share the session, and a cookie of one is no business of another.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Sends a request; the library's other methods call this one."""
        options |= {"timeout": TIMEOUT_S, "verify": self._ca_file}
        return super().request(*arguments, **options)
