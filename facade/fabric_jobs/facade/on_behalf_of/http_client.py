"""The HTTP client that MSAL uses: with time limits, and with the authorities that a setting names.

It needs the extra `on-behalf-of`, so import this module only if on-behalf-of is configured.
"""

from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from ssl import TLSVersion
from typing import Any

import requests
from requests.adapters import HTTPAdapter

#: Seconds that one request to the authority may take to connect, and between two reads.
TIMEOUT_S = 5.0


class _Tls12Adapter(HTTPAdapter):
    """Connects with TLS 1.2 or newer, whatever the default of the libraries and of OpenSSL is."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Makes the pool of the direct connections."""
        options["ssl_minimum_version"] = TLSVersion.TLSv1_2
        super().init_poolmanager(*arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Makes the pool of the connections through a proxy."""
        options["ssl_minimum_version"] = TLSVersion.TLSv1_2
        return super().proxy_manager_for(proxy, **options)


class HttpClient(requests.Session):
    """A session of `requests` for any number of threads."""

    def __init__(self, ca_file: Path | None) -> None:
        """`ca_file` holds the authorities that sign the server's certificate, if not the system's.

        `requests` prefers environment variables to the session's own `verify`, but not to that of a
        request.
        """
        super().__init__()
        self.mount("https://", _Tls12Adapter())
        self._ca_file = str(ca_file) if ca_file else None
        # All tenants share the session, and a cookie of one is no business of another.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Sends a request; the library's other methods call this one."""
        options |= {"timeout": TIMEOUT_S, "verify": self._ca_file}
        return super().request(*arguments, **options)
