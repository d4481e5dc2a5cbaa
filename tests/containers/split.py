"""deploy/haproxy-workload.cfg in a container, before the stack and a workload's own backend."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.containers.docker import run
from tests.containers.load import FINAL
from tests.containers.stack import COMPOSE
from tests.support.paths import ROOT

ID = uuid.UUID(int=1)
ITEM = f"/workload/workspaces/{ID}/items/Contoso.FinanceAnalytics.Forecast/{ID}"
# The backend says which request it got, as no facade does.
BACKEND = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"workload {self.command} {self.path}".encode())
    do_GET = do_PATCH = do_DELETE = do_POST
HTTPServer(("127.0.0.1", 5050), Backend).serve_forever()
"""


def split_paths() -> str:
    """One URL serves both: a job completes, and the calls about items reach the workload."""
    COMPOSE.up()
    with _in_network("workload", "fabric-jobs", "python", "-c", BACKEND), _proxy() as url:
        # Without authentication, a facade answers to the names of its own machine alone.
        headers = {"host": "127.0.0.1:5080", "x-ms-client-tenant-id": str(ID)}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            _await_workload(client)
            for verb, path in (("POST", ITEM), ("PATCH", ITEM), ("POST", f"{ITEM}/onCreateItem")):
                answer = client.request(verb, path)
                assert answer.text == f"workload {verb} {path}", (answer.status_code, answer.text)
            job = f"{ITEM}/jobTypes/calculateForecast/instances/{uuid.uuid4()}"
            created = client.post(
                job, json={"invokeType": "Manual", "creationPayload": {"priority": "high"}}
            )
            assert created.status_code == 202, created.text
            status = _await_end(client, job)
    assert status == "Completed", status
    return "a job is Completed, and the calls about items reached the workload"


@contextmanager
def _in_network(name: str, *command: str) -> Iterator[None]:
    """`docker run` of a command in the stack's network, until the end of the block."""
    network = f"container:{COMPOSE.container('network')}"
    container = f"split-{name}"
    run("docker", "run", "--rm", "-d", "--name", container, "--network", network, *command)
    try:
        yield
    finally:
        run("docker", "rm", "-f", container, check=False)


@contextmanager
def _proxy() -> Iterator[str]:
    """The proxy with its published configuration: its URL."""
    config = f"{ROOT}/deploy/haproxy-workload.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"
    address = run(
        *("docker", "inspect", COMPOSE.container("network")),
        *("--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"),
    )
    with _in_network("proxy", "-v", config, "haproxy:3.2-alpine"):
        yield f"http://{address}:5080"


def _await_workload(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if client.get(ITEM).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the proxy or the workload did not start"
        time.sleep(0.1)


def _await_end(client: httpx.Client, job: str) -> str:
    deadline = time.monotonic() + 60
    while (status := client.get(job).json()["status"]) not in FINAL:
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    return str(status)
