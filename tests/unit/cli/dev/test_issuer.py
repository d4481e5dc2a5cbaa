"""The local token issuer, as its clients see it."""

import socket
import struct

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
