"""The HTTP client that MSAL uses."""

import socket
from ssl import TLSVersion
from typing import Any

from requests.adapters import HTTPAdapter

from fabric_jobs.facade.on_behalf_of.http_client import HttpClient


def test_http_client_connects_with_tls_1_2_at_least() -> None:
    """Directly and through a proxy, whatever the libraries' defaults are."""
    with HttpClient(None) as client:
        adapter = client.get_adapter("https://login.example.com")
        assert isinstance(adapter, HTTPAdapter)
        pools = [adapter.poolmanager, adapter.proxy_manager_for("http://127.0.0.1:1")]
        connections = [pool.connection_from_url("https://x")._new_conn() for pool in pools]

    assert [one.ssl_minimum_version for one in connections] == [TLSVersion.TLSv1_2] * 2


def test_http_client_keeps_an_idle_connection_alive() -> None:
    """A NAT forgets a connection that is silent for minutes, and the next request on it fails."""
    with HttpClient(None) as client, socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        adapter = client.get_adapter("https://login.example.com")
        assert isinstance(adapter, HTTPAdapter)
        proxy = adapter.proxy_manager_for(f"http://{host}:{port}")
        for manager in (adapter.poolmanager, proxy):
            pool: Any = manager.connection_from_url(f"https://{host}:{port}")
            with pool._new_conn()._new_conn() as connection:
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
