"""Runs HAProxy with a configuration of `deploy/`, and sends it requests with any path."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.facade.http.errors import MEANINGS, Code
from tests.support.requirements import missing

#: The status, head and body of an answer.
Answer = tuple[int, str, bytes]


@contextmanager
def run_haproxy(folder: Path, config: str, ports: Mapping[int, int]) -> Iterator[None]:
    """Runs HAProxy; each port of the configuration is replaced. Its log is `log` in the folder."""
    if shutil.which("haproxy") is None:
        missing("HAProxy", "no haproxy on PATH: install it")
    pattern = rf"(bind |127\.0\.0\.1):({'|'.join(map(str, ports))})\b"
    moved = re.sub(pattern, lambda found: f"{found[1]}:{ports[int(found[2])]}", config)
    (folder / "haproxy.cfg").write_text(moved.replace("bind :", "bind 127.0.0.1:"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def ask(port: int, path: str, *headers: str, verb: str = "GET") -> Answer:
    """Sends the path as it is, without the rewriting of an HTTP client: status, head and body."""
    deadline = time.monotonic() + 10
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            break
        except ConnectionError:
            assert time.monotonic() < deadline, "the proxy does not listen"
            await asyncio.sleep(0.05)
    lines = [f"{verb} {path} HTTP/1.1", "Host: proxy", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    return await answer_from(reader, writer)


async def answer_from(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """The status, head and body of the answer that ends with the connection."""
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head.decode(), body


def assert_fabric_error(answer: Answer, status: int, code: Code) -> None:
    """The answer is the proxy's own, and its body is Fabric's `ErrorResponse`."""
    assert answer[0] == status
    error = msgspec.json.decode(answer[2], type=ErrorResponse)
    assert error.error_code == code
    assert (error.source, error.is_permanent) == MEANINGS[code][1:]
    assert "content-type: application/json" in answer[1].lower()


def assert_errors_have_fabrics_form(config: str) -> None:
    """Each error body of the configuration decodes, and means what the facade's own table says."""
    bodies = re.findall(r"http-error status (\d+) .* string '(.*)'", config)

    assert {status for status, _ in bodies} == {"404", "408", "500", "502", "503", "504"}
    for _, body in bodies:
        error = msgspec.json.decode(body, type=ErrorResponse)
        meaning = MEANINGS[Code(error.error_code)]
        assert (error.source, error.is_permanent) == (meaning.source, meaning.permanent)
