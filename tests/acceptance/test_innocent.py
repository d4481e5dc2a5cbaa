"""What a stranger or a tenant sends to a facade costs the other clients neither time nor memory.

Each row of `ATTACKS` is sent to a running facade while an innocent client polls. A row is a
function of the facade's address and of a job's path; it returns once everything was sent.
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio

from tests.support.innocent import WARM_UP_POLLS, watching
from tests.support.programs import TENANT, Fabric, Program, facade, new_id

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="/proc is needed: memory is read there"),
]

#: Seconds that no poll may take, and MiB by which the facade's memory may grow.
MOST_S = 0.25
MOST_MIB = 64
HEAD = b"POST /workload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
Attack = Callable[[str, int], Awaitable[None]]


async def send(host: str, port: int, *parts: bytes) -> asyncio.StreamWriter:
    """A connection on which the parts were sent, or as much of them as the facade takes."""
    _, writer = await asyncio.open_connection(host, port)
    with suppress(OSError):
        for part in parts:
            writer.write(part)
            await writer.drain()
    return writer


async def close(writers: list[asyncio.StreamWriter]) -> None:
    """Close the connections."""
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def many_headers(host: str, port: int) -> None:
    """A1: 20 MB of headers."""
    await close([await send(host, port, HEAD, *[b"a: \r\n" * 10_000] * 400, b"\r\n")])


async def large_header(host: str, port: int) -> None:
    """A1: one header value of 60 MB."""
    await close([await send(host, port, HEAD, b"a: ", *[b"b" * 100_000] * 600, b"\r\n\r\n")])


async def large_target(host: str, port: int) -> None:
    """A1: a URL of 60 MB."""
    await close([await send(host, port, b"GET /", *[b"b" * 100_000] * 600, b" HTTP/1.1\r\n\r\n")])


async def silent_connections(host: str, port: int) -> None:
    """A2: 1,500 silent or half-sent connections, held open for some seconds."""
    held = [await send(host, port, *([HEAD] if place % 2 else [])) for place in range(1500)]
    await asyncio.sleep(3)
    await close(held)


async def bodies_that_never_come(host: str, port: int) -> None:
    """A2: 400 bodies that are announced, and not sent."""
    head = HEAD.replace(b"/workload", JOB.encode()) + b"x-ms-client-tenant-id: " + TENANT.encode()
    request = head + b"\r\nContent-Length: 100000\r\n\r\n"
    held = [await send(host, port, request) for _ in range(400)]
    await asyncio.sleep(3)
    await close(held)


async def refused_posts_held_open(host: str, port: int) -> None:
    """A3: 1,500 POSTs of 100 KB without a token, whose connections stay."""
    head = HEAD.replace(b"/workload", JOB.encode())
    request = head + b"Authorization: " + b"t" * 10_000 + b"\r\nContent-Length: 100000\r\n\r\n"
    held = [await send(host, port, request, b"x" * 100_000) for _ in range(1500)]
    await asyncio.sleep(3)
    await close(held)


async def pipelined_requests(host: str, port: int) -> None:
    """100,000 requests on one connection, whose answers are not read."""
    request = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await close([await send(host, port, *[request * 1000] * 100)])


async def trailers_without_end(host: str, port: int) -> None:
    """60 MB of trailers after an empty body."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: "
    await close([await send(host, port, head, *[b"b" * 100_000] * 600)])


async def wide_payload(host: str, port: int) -> None:
    """A4: a payload of 258 KB with 80,000 arrays in 60 levels, on the monitor's page."""
    await view_payload(host, port, levels=60)


async def deep_payload(host: str, port: int) -> None:
    """A4: the same in 950 levels, which a facade refuses."""
    await view_payload(host, port, levels=950)


async def view_payload(host: str, port: int, levels: int) -> None:
    """Create a job with so many levels, and view the monitor's page of it if it was accepted."""
    payload = b"[" * levels + b"[]," * 80_000 + b"[]" + b"]" * levels
    job_id = new_id()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as client:
        created = await client.post(
            f"{INSTANCES}/{job_id}",
            content=b'{"invokeType": "Manual", "creationPayload": {"a": ' + payload + b"}}",
            headers={"x-ms-client-tenant-id": TENANT},
        )
        assert created.status_code in (202, 400)
        if created.status_code == 202:
            for _ in range(3):
                assert (await client.get(f"/monitor/jobs/{job_id}")).status_code == 200


INSTANCES = (
    f"/workload/workspaces/{uuid.UUID(int=1)}/items/Test.Item/{uuid.UUID(int=2)}"
    "/jobTypes/quick/instances"
)
JOB = f"{INSTANCES}/{uuid.UUID(int=3)}"
ATTACKS: list[Attack] = [
    many_headers,
    large_header,
    large_target,
    silent_connections,
    bodies_that_never_come,
    refused_posts_held_open,
    pipelined_requests,
    trailers_without_end,
    wide_payload,
    deep_payload,
]
#: How often an attack is tried: another program's load can delay a poll too, but not each time.
TRIES = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replica(environment: dict[str, str]) -> AsyncIterator[Program]:
    """A facade with the monitor, and a job that is polled."""
    async with facade(FABRIC_JOBS_MONITOR="true", **environment) as running:
        async with Fabric(running) as fabric:
            assert (await fabric.create(str(uuid.UUID(int=3)))).status_code == 202
        yield running


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_innocent_client_is_answered_while_a_facade_is_attacked(
    replica: Program, attack: Attack
) -> None:
    """No poll takes `MOST_S`, every poll succeeds, and memory grows by less than `MOST_MIB`."""
    host, _, port = replica.ready["http"].split("/")[2].rpartition(":")
    for _ in range(TRIES):
        async with watching(replica, JOB) as seen:
            await attack(host, int(port))
        print(
            f"\n{attack.__name__}: slowest poll {seen.slowest_s * 1000:.0f} ms of {seen.polls}, "
            f"{seen.stalls} over 100 ms, {seen.failures} failed; "
            f"memory {seen.peak_mib:+.0f} MiB at its peak, {seen.kept_mib:+.0f} MiB after"
        )
        assert seen.polls > WARM_UP_POLLS
        assert seen.failures == 0
        assert seen.peak_mib < MOST_MIB
        if seen.slowest_s < MOST_S:
            return
    raise AssertionError(f"a poll took {seen.slowest_s:.2f} s in each of {TRIES} tries")
