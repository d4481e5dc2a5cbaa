"""A client that does nothing wrong: it polls a job, and says what the slowest answer took.

It runs as a program of its own, so that what a test does meanwhile does not slow it down:
`python -m tests.support.innocent HOST PORT PATH` prints `ready`, polls until its standard input
ends, and prints one line of JSON.
"""

import asyncio
import http.client
import json
import re
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from tests.support.programs import TENANT, Program

#: Seconds between two polls.
INTERVAL_S = 0.005
#: Polls before anything happens.
WARM_UP_POLLS = 20
#: Seconds of polls after it.
AFTER_S = 1.0


class Seen(Struct):
    """What an innocent client saw while something happened to a facade."""

    polls: int = 0
    #: The seconds of the slowest poll, connections included.
    slowest_s: float = 0
    #: Polls that took longer than 0.1 s.
    stalls: int = 0
    #: Polls that were not answered by 200.
    failures: int = 0
    #: The growth of the facade's resident memory at its peak, in MiB.
    peak_mib: float = 0
    #: The same once it was over.
    kept_mib: float = 0


def poll(host: str, port: int, path: str) -> Seen:
    """Poll until standard input ends; a new connection for every tenth poll."""
    seen, over = Seen(), threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    connection = http.client.HTTPConnection(host, port, timeout=60)
    while not over.wait(INTERVAL_S):
        if seen.polls % 10 == 0:
            connection.close()
        began = time.perf_counter()
        try:
            connection.request("GET", path, headers={"x-ms-client-tenant-id": TENANT})
            answer = connection.getresponse()
            answer.read()
            seen.failures += answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            seen.failures += 1
        took_s = time.perf_counter() - began
        seen.polls += 1
        seen.slowest_s = max(seen.slowest_s, took_s)
        seen.stalls += took_s > 0.1
        if seen.polls == WARM_UP_POLLS:
            print("ready", flush=True)
    return seen


@asynccontextmanager
async def watching(facade: Program, path: str) -> AsyncIterator[Seen]:
    """Poll during the block; what was seen is known after it."""
    host, _, port = facade.ready["http"].split("/")[2].rpartition(":")
    command = (sys.executable, "-m", "tests.support.innocent", host, port, path)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdout
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
    status = Path(f"/proc/{facade.process.pid}/status")
    # Begins a new peak of the resident memory.
    Path(f"/proc/{facade.process.pid}/clear_refs").write_text("5")
    before = _resident_mib(status, "VmRSS")
    seen = Seen()
    try:
        yield seen
        await asyncio.sleep(AFTER_S)
    finally:
        output, _ = await process.communicate(b"")
    for name, value in json.loads(output).items():
        setattr(seen, name, value)
    seen.peak_mib = _resident_mib(status, "VmHWM") - before
    seen.kept_mib = _resident_mib(status, "VmRSS") - before


def _resident_mib(status: Path, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status.read_text(), re.M)
    assert found
    return int(found[1]) / 1024


if __name__ == "__main__":
    result = poll(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    fields = ("polls", "slowest_s", "stalls", "failures")
    print(json.dumps({name: getattr(result, name) for name in fields}))
