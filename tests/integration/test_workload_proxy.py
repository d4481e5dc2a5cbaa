"""deploy/haproxy-workload.cfg in HAProxy itself, before two servers that say who they are."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fabric_jobs.facade.auth.authenticator import MAX_TOKEN_CHARS
from fabric_jobs.facade.http.errors import RETRY_AFTER_S, Code
from fabric_jobs.facade.http.remote import JOBS
from fabric_jobs.facade.http.routes import INSTANCE
from fabric_jobs.facade.settings import FacadeSettings
from tests.support.apache_kafka import reserve_port
from tests.support.haproxy import (
    ask,
    assert_errors_have_fabrics_form,
    assert_fabric_error,
    run_haproxy,
)
from tests.support.paths import ROOT

CONFIG = (ROOT / "deploy" / "haproxy-workload.cfg").read_text()
BASE = FacadeSettings().base_path
ITEM = f"{BASE}/workspaces/1/items/Contoso.FinanceAnalytics.Forecast/2"


@contextmanager
def serve(name: str) -> Iterator[int]:
    """A server that answers every request with its name, the verb and the path: its port."""

    class Named(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = f"{name} {self.command} {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's spelling

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Named)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@contextmanager
def start_proxy(folder: Path, jobs: int, workload: int) -> Iterator[int]:
    """HAProxy in front of the two ports: its own port."""
    with reserve_port() as free:
        port: int = free.getsockname()[1]
    with run_haproxy(folder, CONFIG, {5080: port, 5000: jobs, 5050: workload}):
        yield port


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """The port of the proxy in front of the servers `jobs` and `workload`."""
    with (
        serve("jobs") as jobs,
        serve("workload") as workload,
        start_proxy(tmp_path, jobs, workload) as port,
    ):
        yield port


JOB = f"{ITEM}/jobTypes/calculateForecast/instances/3"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", JOB),
        ("GET", JOB),
        ("POST", f"{JOB}/cancel"),
        ("GET", f"{JOB}?api-version=1"),
        ("GET", JOB.replace("jobTypes", "jobtypes").replace("workspaces", "Workspaces")),
        ("POST", f"{ITEM}/jobs/onCreateJobInstance"),
        ("POST", f"{ITEM}/jobs/onGetJobInstanceStatus"),
        ("POST", f"{ITEM}/jobs/onCancelJobInstance"),
        ("POST", f"{ITEM}/Jobs/OnCreateJobInstance"),
    ],
)
async def test_request_about_job_reaches_fabric_jobs(proxy: int, verb: str, path: str) -> None:
    """Both families of routes, in any letter case of their fixed parts, unchanged."""
    status, _, body = await ask(proxy, path, verb=verb)

    assert (status, body.decode()) == (200, f"jobs {verb} {path}")


def test_pattern_of_proxy_matches_every_route_of_facade() -> None:
    """The routes in the facade's code, with text in place of their parameters."""
    (pattern,) = re.findall(r"-i -m reg (\S+)", CONFIG)

    for route in (INSTANCE, f"{INSTANCE}/cancel", f"{JOBS}/onCreateJobInstance"):
        path = BASE + re.sub(r"\{.*?\}", "text", route)
        assert re.match(pattern, path, re.IGNORECASE), path


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", ITEM),
        ("PATCH", ITEM),
        ("DELETE", ITEM),
        ("GET", f"{ITEM}/payload"),
        ("POST", f"{ITEM}/onCreateItem"),
        ("POST", f"{ITEM}/onUpdateItem"),
        ("POST", f"{ITEM}/onDeleteItem"),
        ("POST", f"{ITEM}/onRestoreItem"),
        ("POST", f"{BASE}/resolve-api-path-placeholder"),
        ("GET", f"{BASE}/jobs/of/my/own"),
        ("GET", f"{BASE}/workspaces/1/items/jobs/2/payload"),
        ("GET", f"{ITEM}/payload?next=/jobs/"),
    ],
)
async def test_other_request_reaches_workload(proxy: int, verb: str, path: str) -> None:
    """The lifecycle of items in both toolkits, endpoint resolution, and routes of the workload."""
    status, _, body = await ask(proxy, path, verb=verb)

    assert (status, body.decode()) == (200, f"workload {verb} {path}")


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/monitor", "/readyz", "/workload", "/Workload/x", "//workload/x"]
    + [f"{BASE}/{out}/metrics" for out in ("..", "%2e%2e", "x/../..", "x%2F..")],
)
async def test_path_outside_base_path_is_404(proxy: int, path: str) -> None:
    """Neither server gets the request, however the path is spelled."""
    assert_fabric_error(await ask(proxy, path), 404, Code.ROUTE_NOT_FOUND)


async def test_jobs_are_served_while_workload_is_away(tmp_path: Path) -> None:
    """Requests to the workload are 503 with the time to wait; requests about jobs are answered."""
    with (
        reserve_port() as nobody,
        serve("jobs") as jobs,
        start_proxy(tmp_path, jobs, nobody.getsockname()[1]) as port,
    ):
        served = await ask(port, JOB)
        refused = await ask(port, ITEM, verb="DELETE")

    assert served[0] == 200
    assert_fabric_error(refused, 503, Code.UNAVAILABLE)
    assert f"retry-after: {RETRY_AFTER_S}" in refused[1].lower()


async def test_largest_authorization_passes_to_both_servers(proxy: int) -> None:
    """Two tokens of the largest size that a facade takes."""
    tokens = f'subjectToken="{"s" * MAX_TOKEN_CHARS}", appToken="{"a" * MAX_TOKEN_CHARS}"'
    header = f"Authorization: SubjectAndAppToken1.0 {tokens}"

    assert [(await ask(proxy, path, header))[0] for path in (JOB, ITEM)] == [200, 200]


def test_every_error_of_workload_proxy_has_fabrics_form() -> None:
    """Each body decodes, and means what the facade's own table says."""
    assert_errors_have_fabrics_form(CONFIG)
