"""The local issuer, as its clients see it."""

import socket
import struct

import pytest

from fabric_jobs.cli.dev.issuer import Issuer

AT_ONCE = struct.pack("ii", 1, 0)


def test_a_client_that_goes_away_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C may stop a facade while it asks for keys: nothing is printed."""
    issuer = Issuer()
    issuer._server.daemon_threads = False  # the end of the block waits for every answer
    with issuer:
        address = issuer.authority.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)  # a reset at its close

    assert capfd.readouterr().err == ""
