"""deploy/haproxy.cfg in HAProxy itself, before a server that answers every request with 200."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fabric_jobs.facade.auth.authenticator import MAX_TOKEN_CHARS
from fabric_jobs.facade.http.errors import RETRY_AFTER_S, Code
from fabric_jobs.facade.settings import FacadeSettings
from tests.support.apache_kafka import reserve_port
from tests.support.haproxy import (
    Answer,
    answer_from,
    ask,
    assert_errors_have_fabrics_form,
    assert_fabric_error,
    run_haproxy,
)
from tests.support.paths import ROOT

CONFIG = (ROOT / "deploy" / "haproxy.cfg").read_text()
POLL = f"{FacadeSettings().base_path}/workspaces/1/items/A/2/jobTypes/b/instances/3"


class Upstream(BaseHTTPRequestHandler):
    """Says which path reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Reached", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the base class's spelling

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@contextmanager
def start_proxy(folder: Path, upstream: int) -> Iterator[int]:
    """HAProxy with one facade at the port: its own port for HTTP."""
    with reserve_port() as http, reserve_port() as grpc, reserve_port() as nobody:
        port, grpc_port, dead = (each.getsockname()[1] for each in (http, grpc, nobody))
    # The second facade is not there. The client has 1 second instead of 10.
    hurried = CONFIG.replace("timeout http-request 10s", "timeout http-request 1s")
    ports = {5000: port, 5001: grpc_port, 5010: upstream, 5020: dead}
    with run_haproxy(folder, hurried, ports):
        yield port


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """The proxy's port; behind it are one facade and an address where nobody listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with start_proxy(tmp_path, server.server_port) as port:
        yield port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/readyz", POLL, f"{POLL}/cancel"])
async def test_a_public_path_reaches_a_facade(proxy: int, path: str) -> None:
    """The readiness probe and everything below the base path."""
    status, head, _ = await ask(proxy, path)

    assert (status, f"x-reached: {path}" in head.lower() or path in head) == (200, True)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "//metrics",
        "/%2Fmetrics",
        "//%6detrics",
        "/%6Detrics",
        "/./metrics",
        "/monitor",
        "/monitor/live",
        "/livez",
        "/",
        "/readyz/",
        "/workload",
        "/Workload/x",
        "//workload/x",
        "http://proxy/metrics",
    ],
)
async def test_any_other_path_is_answered_by_the_proxy(proxy: int, path: str) -> None:
    """However the path is spelled: only what is public is let through."""
    assert_fabric_error(await ask(proxy, path), 404, Code.ROUTE_NOT_FOUND)


async def test_the_largest_authorization_that_a_facade_takes_passes(proxy: int) -> None:
    """Two tokens of the largest size, beside the other headers that Fabric sends."""
    tokens = f'subjectToken="{"s" * MAX_TOKEN_CHARS}", appToken="{"a" * MAX_TOKEN_CHARS}"'
    status, _, _ = await ask(proxy, POLL, f"Authorization: SubjectAndAppToken1.0 {tokens}")

    assert status == 200


async def test_a_head_that_fits_into_no_buffer_is_400(proxy: int) -> None:
    """The answer is HAProxy's own: it takes no text of ours for what it can't parse."""
    status, _, _ = await ask(proxy, POLL, f"Authorization: {'a' * 70_000}")

    assert status == 400


async def sent_slowly(proxy: int, text: str) -> Answer:
    """The answer to a request that goes no further."""
    assert (await ask(proxy, "/readyz"))[0] == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(text.encode())
    return await answer_from(reader, writer)


async def test_a_head_that_does_not_arrive_in_time_ends_the_connection(proxy: int) -> None:
    """HAProxy's own 408."""
    status, _, _ = await sent_slowly(proxy, "GET /readyz HTTP/1.1\r\nHost:")

    assert status == 408


async def test_a_body_that_does_not_arrive_in_time_reaches_no_facade(proxy: int) -> None:
    """408 in Fabric's form."""
    head = f"POST {POLL} HTTP/1.1\r\nHost: proxy\r\nContent-Length: 9\r\n\r\n"

    assert_fabric_error(await sent_slowly(proxy, head), 408, Code.UNAVAILABLE)


async def test_no_ready_facade_is_503_with_the_time_to_wait(tmp_path: Path) -> None:
    """As a facade itself says it."""
    with reserve_port() as nobody:
        upstream = nobody.getsockname()[1]
        with start_proxy(tmp_path, upstream) as port:
            answer = await ask(port, POLL)

    assert_fabric_error(answer, 503, Code.UNAVAILABLE)
    assert f"retry-after: {RETRY_AFTER_S}" in answer[1].lower()


async def test_a_change_of_a_servers_state_is_logged_once(proxy: int, tmp_path: Path) -> None:
    """One line names the facade that is not there, in the backend whose checks found it down."""
    assert (await ask(proxy, "/readyz"))[0] == 200
    log = tmp_path / "log"
    async with asyncio.timeout(20):
        while "http/facade-2 is DOWN" not in log.read_text():
            await asyncio.sleep(0.05)

    assert log.read_text().count("http/facade-2 is DOWN") == 1


def test_every_error_of_the_proxy_has_fabrics_form() -> None:
    """Each body decodes, and means what the facade's own table says."""
    assert_errors_have_fabrics_form(CONFIG)
