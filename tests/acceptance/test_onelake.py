"""Handlers act for users: that of the docs reads OneLake by the Azure SDK; one runs in `dev`."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jwt

from fabric_jobs.cli.dev.certificate import write_certificate
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.command import dev
from tests.support.paths import ROOT
from tests.support.programs import Fabric, executor, facade, new_id, status_api
from tests.support.sealing import ring_key
from tests.support.user_authority import TENANT, UserAuthority, run_user_authority

ITEM_TYPE = "Contoso.FinanceAnalytics.Forecast"
FILE = "/00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002/Files/sales.csv"
SALES = b"month,sum\njanuary,3\nfebruary,4\n"


class OneLake:
    """A stand-in of OneLake over TLS, which checks the bearer token of each request."""

    def __init__(self, users: UserAuthority) -> None:
        self._users = users
        #: The users whose tokens were accepted.
        self.readers: list[str] = []

    def reader_of(self, authorization: str) -> str:
        """The user of a right token. Raises `jwt.PyJWTError`."""
        token = authorization.removeprefix("Bearer ")
        (key,) = self._users.issuer.keys
        claims = jwt.decode(
            token, key.private.public_key(), ["RS256"], audience="https://storage.azure.com"
        )
        assert claims["tid"] == TENANT
        return str(claims["oid"])


@contextmanager
def run_onelake(users: UserAuthority, folder: Path) -> Iterator[tuple[OneLake, str, Path]]:
    """Runs OneLake with one file; its address, and the certificate to trust."""
    onelake = OneLake(users)
    cert, key = write_certificate(folder, "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answers with the file as the Blob API does."""
            try:
                reader = onelake.reader_of(self.headers.get("Authorization", ""))
            except jwt.PyJWTError:
                self.send_error(401)
                return
            if self.path.partition("?")[0] != FILE:
                self.send_error(404)
                return
            onelake.readers.append(reader)
            self.send_response(206)
            self.send_header("Content-Length", str(len(SALES)))
            self.send_header("Content-Range", f"bytes 0-{len(SALES) - 1}/{len(SALES)}")
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Sat, 28 Nov 2026 12:00:00 GMT")
            self.send_header("x-ms-blob-type", "BlockBlob")
            self.end_headers()
            self.wfile.write(SALES)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Logs nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield onelake, f"https://127.0.0.1:{server.server_address[1]}", cert
    finally:
        server.shutdown()
        server.server_close()


async def test_handler_of_the_docs_reads_a_file_of_onelake_as_the_user(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """The Azure SDK works unchanged, and OneLake sees the user who started the job."""
    (example,) = (
        block
        for block in re.findall(
            r"```python\n(.*?)```", (ROOT / "docs" / "handlers.md").read_text(), re.S
        )
        if "ONELAKE" in block
    )
    with (
        run_user_authority() as users,
        run_onelake(users, tmp_path) as (onelake, address, certificate),
    ):
        module = example.replace("https://onelake.dfs.fabric.microsoft.com", address)
        (tmp_path / "onelake_example.py").write_text(module)
        environment = apache.environment(topic) | users.settings
        environment |= {"FABRIC_JOBS_SEALING_KEYS": ring_key("one")}
        runner = environment | {
            "PYTHONPATH": str(tmp_path),
            "REQUESTS_CA_BUNDLE": str(certificate),
        }
        async with (
            facade(**environment) as one,
            executor("onelake_example:executor", one, **runner),
            Fabric(one, "readSales", ITEM_TYPE, headers=users.headers()) as fabric,
            status_api(one) as status,
        ):
            job_id = new_id()
            await fabric.create(job_id)
            state = await fabric.until(job_id, "Completed", "Failed")
            job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert state["status"] == "Completed", state
    assert job.progress.message == "3 lines of sales"
    assert onelake.readers == [users.user().object_id]


async def test_dev_gives_handlers_tokens_of_the_local_issuer(tmp_path: Path) -> None:
    """With the option, and without anything to set up."""
    async with dev("tests.support.token_handlers:executor", "--on-behalf-of", cwd=ROOT) as one:
        payload = f'{{"journal": "{tmp_path / "journal"}"}}'
        done = await one.submit("Test.Item", "sync", "--payload", payload, "--wait")

    assert done.stdout[-1] == "Completed", done.stderr
    assert (tmp_path / "journal").read_text()
