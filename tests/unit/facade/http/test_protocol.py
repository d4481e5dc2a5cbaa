"""The limits of the HTTP server, on real connections."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fabric_jobs.facade.http import HttpLimits, HttpServer, limits, protocol
from fabric_jobs.runtime.settings import host_port

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with the path and the body; `/early` is answered at once."""
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    text = scope["path"].encode() + b" " + body
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(text)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": text})


class Client:
    """A client that writes bytes of its own choice."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Sends the bytes; those that a server that has closed does not take are lost."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers and the body of the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def end(self) -> bytes:
        """What comes until the server closes the connection."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()


Connect = Callable[[], Any]


@asynccontextmanager
async def serving(app: Any = echo, **chosen: Any) -> AsyncIterator[Connect]:
    """A server with these limits; yields what connects a client to it."""
    server = HttpServer(app, "127.0.0.1", 0, HttpLimits(**chosen))
    serve = asyncio.create_task(server.serve())
    clients = list[Client]()

    async def connect() -> Client:
        client = Client(*await asyncio.open_connection(*host_port(server.address)))
        clients.append(client)
        return client

    try:
        async with asyncio.timeout(30):
            yield connect
    finally:
        for client in clients:
            client.close()
        await server.stop()
        await serve


@pytest.mark.parametrize(
    "head",
    [
        b"a: \r\n" * 200_000,
        b"a: " + b"b" * 2_000_000,
        b"a" * 2_000_000,
        b"a: " + b"b" * limits.MAX_HEAD_BYTES,
        b"a: b\r\n" * limits.MAX_HEADERS,
    ],
)
async def test_head_over_a_limit_is_431_and_ends_the_connection(head: bytes) -> None:
    """The answer is Fabric's error body, also while the client still sends."""
    async with serving() as connect:
        client = await connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n\r\n")
        status, headers, body = await client.answer()
        assert (status, json.loads(body)["errorCode"]) == (431, "HeadersTooLarge")
        assert headers["connection"] == "close"
        assert await client.end() == b""


async def test_target_over_the_limit_of_the_head_is_431() -> None:
    """The request line counts towards the limit of the headers."""
    async with serving() as connect:
        client = await connect()
        await client.send(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n")
        assert (await client.answer())[0] == 431


async def test_head_at_the_limit_with_two_tokens_is_served() -> None:
    """Two tokens of 16 KiB and 100 further headers."""
    async with serving() as connect:
        client = await connect()
        more = b"".join(b"x-%d: y\r\n" % number for number in range(100))
        token = b"Authorization: " + b"t" * 2 * 16 * 1024 + b"\r\n"
        await client.send(b"GET / HTTP/1.1\r\nHost: here\r\n" + token + more + b"\r\n")
        assert (await client.answer())[0] == 200


async def test_head_that_drips_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte gives no further time."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.5)
    async with serving() as connect:
        client = await connect()
        await client.send(b"GET / HTTP/1.1\r\n")
        answer = asyncio.create_task(client.answer())
        while not answer.done():
            await client.send(b"a")
            await asyncio.sleep(0.05)
        assert answer.result()[0] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_silent_connection_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was asked, so nothing is answered."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    async with serving() as connect:
        client = await connect()
        await client.send(sent)
        assert await client.end() == b""


async def test_body_that_never_comes_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application waits for it, and is told that nobody listens."""
    monkeypatch.setattr(protocol, "BODY_S", 0.2)
    async with serving() as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nabc")
        status, _, body = await client.answer()
        assert (status, json.loads(body)["errorCode"]) == (408, "RequestTimeout")


async def test_idle_connection_is_kept_for_idle_s_and_then_closed() -> None:
    """A connection is used again before that."""
    async with serving(idle_s=0.3) as connect:
        client = await connect()
        await client.send(GET)
        await client.answer()
        await client.send(GET)
        await client.answer()
        assert await client.end() == b""


async def test_answer_before_the_end_of_the_body_ends_the_connection() -> None:
    """The answer says so, because the rest of the body may never come."""
    async with serving() as connect:
        client = await connect()
        await client.send(b"POST /early HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nabc")
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.end() == b""


async def test_trailers_without_end_are_refused() -> None:
    """What comes after the body counts, and is not kept."""
    async with serving(body_bytes=1024) as connect:
        client = await connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        )
        await client.send(b"a: " + b"b" * 2_000_000)
        assert (await client.answer())[0] == 413


async def test_requests_without_end_in_one_segment_end_the_connection() -> None:
    """A client may send few requests before it has the first answer."""
    async with serving() as connect:
        client = await connect()
        await client.send(GET * 10_000)
        assert (await client.end()).count(b"HTTP/1.1 200") < limits.MAX_PIPELINED


async def test_upgrade_to_h2c_is_ignored_and_the_body_in_a_second_segment_is_read() -> None:
    """As Java's HttpClient and `curl --http2` ask; the connection goes on in HTTP/1.1."""
    async with serving() as connect:
        client = await connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 5\r\n\r\n"
        )
        await asyncio.sleep(0.05)  # so that the body is a segment of its own
        await client.send(b"hello")
        assert (await client.answer())[2] == b"/a hello"
        await client.send(GET)
        assert (await client.answer())[2] == b"/ "


async def test_upgrade_with_the_body_in_the_same_segment_is_ignored() -> None:
    """The body is the request's, in chunks as well."""
    async with serving() as connect:
        client = await connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: here\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        _, headers, body = await client.answer()
        assert (body, headers["connection"]) == (b"/a hello", "close")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
)
async def test_request_that_is_not_http_is_400_in_fabrics_form(request_bytes: bytes) -> None:
    """The same holds for CONNECT, which only proxies serve."""
    async with serving() as connect:
        client = await connect()
        await client.send(request_bytes)
        status, _, body = await client.answer()
        assert (status, json.loads(body)["errorCode"]) == (400, "InvalidRequest")


async def test_silent_connections_make_room_for_new_ones() -> None:
    """Three times as many silent connections as there are places keep nobody out."""
    async with serving(connections=16) as connect:
        silent = [await connect() for _ in range(48)]
        client = await connect()
        await client.send(GET)
        assert (await client.answer())[0] == 200
        assert await silent[0].end() == b""


async def test_places_are_kept_for_probes_when_every_other_one_has_a_request() -> None:
    """Other requests are refused with a reason that a program can read."""
    async with serving(connections=2) as connect:
        for _ in range(2):
            busy = await connect()
            await busy.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n")
        await asyncio.sleep(0.1)  # so that both requests have begun
        probe, other = await connect(), await connect()
        await probe.send(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await probe.answer())[2] == b"/livez "
        await other.send(GET)
        status, headers, body = await other.answer()
        assert (status, headers["retry-after"]) == (503, "5")
        assert "OVERLOADED" in body.decode()


async def test_client_that_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's next write fails, so that it can end."""
    monkeypatch.setattr(protocol, "UNREAD_S", 0.3)
    ended = asyncio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not ended.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    if (await receive())["type"] == "http.disconnect":
                        ended.set()

    async with serving(flood) as connect:
        client = await connect()
        await client.send(GET)
        await ended.wait()


def test_connections_are_at_most_half_of_the_open_files(caplog: pytest.LogCaptureFixture) -> None:
    """The warning says which limit to raise."""
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert limits.affordable_connections(1000) == 128
        assert limits.affordable_connections(100) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    assert "ulimit -n" in caplog.text
