"""The local token issuer, as its clients see it."""

import socket
import struct
from http.server import HTTPServer
from typing import Any

import httpx
import pytest

from fabric_jobs.cli.dev.issuer import Issuer

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def test_client_that_resets_its_connection_is_not_logged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C can stop a facade while it fetches keys."""
    issuer = Issuer()
    issuer._server.daemon_threads = False  # the end of the block awaits every answer
    with issuer:
        address = issuer.authority.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    assert capfd.readouterr().err == ""


def test_issuer_on_an_ipv6_address_listens_by_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP and gRPC addresses of `dev` may be of IPv6 too. A machine need not have IPv6."""
    families: list[socket.AddressFamily] = []

    def bind(server: Any) -> None:
        families.append(server.address_family)
        server.server_address = ("::1", 5002, 0, 0)

    monkeypatch.setattr(HTTPServer, "server_bind", bind)
    monkeypatch.setattr(HTTPServer, "server_activate", lambda server: None)
    issuer = Issuer("::1", 5002)
    issuer._server.server_close()

    assert issuer.authority == "http://[::1]:5002"
    assert families == [socket.AF_INET6]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/headers?tenant=507aaaef01-444f-4c05-b8b0-4e9e7e193c37", 400, "not a GUID"),
        ("/headers", 400, "not a GUID"),
        ("/other", 404, "no such path"),
    ],
)
def test_request_that_the_issuer_can_not_serve_gets_an_error(
    path: str, status: int, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The answer says what is wrong, and no traceback is logged."""
    with Issuer() as issuer:
        answer = httpx.get(f"{issuer.authority}{path}", trust_env=False)

    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert capfd.readouterr().err == ""
