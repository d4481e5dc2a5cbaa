"""Attacks over HTTP: what a stranger or a tenant may send to a facade.

An attack is a function of the facade's addresses. It returns once everything was sent.
"""

import asyncio
import uuid
from contextlib import suppress

import httpx

from tests.support.attacked import INSTANCES, JOB, Attack, Target
from tests.support.programs import TENANT, new_id

HEAD = b"POST /workload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
#: Above 10,000 tenants, each create once looked through all of them.
TENANTS = 11_000


async def send(at: Target, *parts: bytes) -> asyncio.StreamWriter:
    """A connection on which the parts were sent, or as much of them as the facade takes."""
    _, writer = await asyncio.open_connection(at.host, at.port)
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


async def many_headers(at: Target) -> None:
    """20 MB of headers."""
    await close([await send(at, HEAD, *[b"a: \r\n" * 10_000] * 400, b"\r\n")])


async def large_header(at: Target) -> None:
    """One header value of 60 MB."""
    await close([await send(at, HEAD, b"a: ", *[b"b" * 100_000] * 600, b"\r\n\r\n")])


async def large_target(at: Target) -> None:
    """A URL of 60 MB."""
    await close([await send(at, b"GET /", *[b"b" * 100_000] * 600, b" HTTP/1.1\r\n\r\n")])


async def silent_connections(at: Target) -> None:
    """1,500 silent or half-sent connections, held open for some seconds."""
    held = [await send(at, *([HEAD] if place % 2 else [])) for place in range(1500)]
    await asyncio.sleep(3)
    await close(held)


async def bodies_that_never_come(at: Target) -> None:
    """400 bodies that are announced, and not sent."""
    head = HEAD.replace(b"/workload", JOB.encode()) + b"x-ms-client-tenant-id: " + TENANT.encode()
    request = head + b"\r\nContent-Length: 100000\r\n\r\n"
    held = [await send(at, request) for _ in range(400)]
    await asyncio.sleep(3)
    await close(held)


async def refused_posts_held_open(at: Target) -> None:
    """1,500 POSTs of 100 KB without a token, whose connections stay."""
    head = HEAD.replace(b"/workload", JOB.encode())
    request = head + b"Authorization: " + b"t" * 10_000 + b"\r\nContent-Length: 100000\r\n\r\n"
    held = [await send(at, request, b"x" * 100_000) for _ in range(1500)]
    await asyncio.sleep(3)
    await close(held)


async def pipelined_requests(at: Target) -> None:
    """100,000 requests on one connection, whose answers are not read."""
    request = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await close([await send(at, *[request * 1000] * 100)])


async def trailers_without_end(at: Target) -> None:
    """60 MB of trailers after an empty body."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: "
    await close([await send(at, head, *[b"b" * 100_000] * 600)])


async def wide_payload(at: Target) -> None:
    """A payload of 258 KB with 80,000 arrays in 60 levels, on the monitor's page."""
    await view_payload(at, levels=60)


async def deep_payload(at: Target) -> None:
    """The same in 950 levels, which a facade refuses."""
    await view_payload(at, levels=950)


async def view_payload(at: Target, levels: int) -> None:
    """Create a job with so many levels, and view the monitor's page of it if it was accepted."""
    payload = b"[" * levels + b"[]," * 80_000 + b"[]" + b"]" * levels
    job_id = new_id()
    async with httpx.AsyncClient(base_url=at.url, timeout=60) as client:
        created = await client.post(
            f"{INSTANCES}/{job_id}",
            content=b'{"invokeType": "Manual", "creationPayload": {"a": ' + payload + b"}}",
            headers={"x-ms-client-tenant-id": TENANT},
        )
        assert created.status_code in (202, 400)
        if created.status_code == 202:
            for _ in range(3):
                assert (await client.get(f"/monitor/jobs/{job_id}")).status_code == 200


async def many_tenants(at: Target) -> None:
    """A create of each of 11,000 tenants, on ten connections with eight requests at a time."""

    async def create(tenants: range) -> None:
        reader, writer = await asyncio.open_connection(at.host, at.port)
        body = b'{"invokeType": "Scheduled"}'
        for start in range(tenants.start, tenants.stop, 8):
            few = range(start, min(start + 8, tenants.stop))
            for number in few:
                head = (
                    f"POST {INSTANCES}/{new_id()} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"x-ms-client-tenant-id: {uuid.UUID(int=number + 1)}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
            for _ in few:
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 202 ")
                length = next(
                    line.partition(b":")[2]
                    for line in answer.lower().splitlines()
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(length))
        await close([writer])

    share = TENANTS // 10
    await asyncio.gather(*(create(range(n * share, n * share + share)) for n in range(10)))


HTTP_ATTACKS: list[Attack] = [
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
    many_tenants,
]
