"""The options of gRPC channels and servers: gRPC ignores a name that it does not know."""

import re

from grpc._cython import cygrpc  # type: ignore[attr-defined] # compiled, and without stubs

from tests.support.paths import ROOT

SOURCES = ("facade", "executor", "cli", "runtime", "tests", "bench")


def test_grpc_library_knows_each_channel_argument_in_the_code() -> None:
    """The compiled library holds the name of every argument that it reads."""
    names = {
        name
        for source in SOURCES
        for file in (ROOT / source).rglob("*.py")
        for name in re.findall(r'\("(grpc\.[a-z0-9_.]+)",', file.read_text())
    }
    with open(cygrpc.__file__, "rb") as file:
        library = file.read()

    assert "grpc.keepalive_time_ms" in names
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms\0" not in library
    assert [name for name in sorted(names) if f"{name}\0".encode() not in library] == []
