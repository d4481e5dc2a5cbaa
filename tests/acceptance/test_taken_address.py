"""A facade whose address another program uses."""

import asyncio
import os
import socket
import sys

import pytest

from tests.support.brokers import Cluster

NAMES = ("FABRIC_JOBS_HTTP_ADDRESS", "FABRIC_JOBS_GRPC_ADDRESS")


@pytest.mark.parametrize("name", NAMES)
async def test_facade_whose_address_is_taken_ends_with_one_line_that_names_the_setting(
    embedded: Cluster, topic: str, name: str
) -> None:
    """gRPC has such a line too, although its own error says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fabric_jobs.facade"),
            env=os.environ
            | embedded.environment(topic)
            | {"FABRIC_JOBS_AUTHENTICATION": "off"}
            | dict.fromkeys(NAMES, "127.0.0.1:0")
            | {name: address},
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    lines = errors.decode().splitlines()

    assert process.returncode == 1
    assert f"{name}={address} can't be listened on" in lines[-1]
    assert "Traceback" not in errors.decode()
