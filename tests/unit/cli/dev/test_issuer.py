"""The local token issuer, as its clients see it."""

import socket
import struct

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
