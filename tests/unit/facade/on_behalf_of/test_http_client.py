"""The HTTP client that MSAL uses."""

from ssl import TLSVersion

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
