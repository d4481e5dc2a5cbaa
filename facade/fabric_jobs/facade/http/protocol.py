"""HTTP/1.1 on one connection: uvicorn's protocol with limits for what a client may send.

Rules:

1. A request is refused before its next byte is kept once it exceeds a limit of `limits`.
2. A refusal is Fabric's `ErrorResponse`, and ends the connection.
3. An answer that comes before the end of its request's body ends the connection too.
4. A connection that ends is read for `LINGER_S` seconds and nothing is kept. If it were closed
   with bytes unread, the client's system could discard the answer.
5. An offer to change the protocol (`Upgrade`) is ignored, as HTTP allows.
"""

import asyncio
from math import inf
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fabric_jobs.facade import metrics
from fabric_jobs.facade.http.connections import Connections
from fabric_jobs.facade.http.errors import Code, raw_answer
from fabric_jobs.facade.http.limits import (
    BODY_S,
    HEAD_S,
    LINGER_S,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    UNREAD_S,
)
from fabric_jobs.facade.http.probes import PROBES
from fabric_jobs.facade.http.transport import JoiningTransport

#: What a header line has beside its name and its value: the colon and the line break.
_LINE_BYTES = 4
_PROBES = tuple(path.encode() for path in PROBES)
_UPGRADE = (b"upgrade", b"http2-settings")
_INVALID = Code.INVALID_REQUEST, "This is not valid HTTP/1.1."
_HEAD_TOO_LARGE = (
    Code.HEADERS_TOO_LARGE,
    f"The headers exceed {MAX_HEAD_BYTES // 1024} KiB, or there are more than {MAX_HEADERS}.",
)
_FULL = Code.UNAVAILABLE, "Every connection of this facade has a request in progress."
# Prometheus sees the first such refusal only if the series was there before.
metrics.HTTP_REFUSALS.add(0, Code.UNAVAILABLE)
_STOPPING = Code.REQUEST_TIMEOUT, "The facade stops, and the body has not come."


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *, peers: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._peers = peers
        #: Whether any request may come, or only probes.
        self._any_request = True
        #: When the awaited part of a request must be here, in the loop's time.
        self._deadline = inf
        #: When the client must have read what was sent.
        self._unread_deadline = inf
        #: Whether a request has begun and has not ended.
        self._in_request = False
        self._head_complete = False
        #: Whether the current request began in the bytes that are being parsed.
        self._begins_here = False
        #: The bytes of the current request, without those that came together with its first one.
        self._raw_bytes = 0
        self._head_bytes = 0
        self._keep_alive = False
        self._refusal = _INVALID
        self._ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a place among the connections."""
        joining = JoiningTransport(transport, self.loop, on_close=self._end)
        super().connection_made(joining)  # type: ignore[arg-type]
        self._deadline = self.loop.time() + HEAD_S
        self._any_request = self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        self._ending = True
        self._peers.remove(self)
        super().connection_lost(exc)
        self._release()

    def data_received(self, data: bytes) -> None:
        """Parses what came; refuses a request that exceeds a limit."""
        if self._ending:
            return
        self._unset_keepalive_if_required()
        if not self._in_request and self._deadline == inf:
            self._deadline = self.loop.time() + HEAD_S
        while data:
            self._begins_here = False
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self._refuse(*self._refusal)
                return
        if self._in_request:
            self._raw_bytes = 0 if self._begins_here else self._raw_bytes + len(data)
            if not self._head_complete and self._raw_bytes > MAX_HEAD_BYTES:
                self._refuse(*_HEAD_TOO_LARGE)
            elif self._raw_bytes > self._peers.limits.message_bytes:
                self._refuse(Code.REQUEST_TOO_LARGE, "The body is too large.")

    def _without_upgrade(self, rest: bytes) -> bytes:
        """The request whose headers have just been parsed, without its offer, and what follows.

        The parser takes what follows an offer for another protocol, so it begins again.
        """
        method = self.parser.get_method()
        if method == b"CONNECT" or (self.cycle and not self.cycle.response_complete):
            self._refuse(*_INVALID)
            return b""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                options = [each.strip() for each in value.split(b",")]
                value = b", ".join(each for each in options if each.lower() not in _UPGRADE)
            if name not in _UPGRADE:
                lines.append(b"%s: %s" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([*lines, b"", rest])

    # The parser's callbacks. An error in one of them makes the parser raise, and refuses.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_request = self._begins_here = True
        self._head_complete = False
        if self._deadline == inf:
            self._deadline = self.loop.time() + HEAD_S
        self._raw_bytes = self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Keeps a part of the request's target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header. A trailer, which comes after the body, is not kept."""
        if self._head_complete:
            return
        self._count_head(len(name) + len(value) + _LINE_BYTES)
        if len(self.headers) == MAX_HEADERS:
            self._raise_refusal(_HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts the application with the request, or has it wait for the answers before it."""
        if self.parser.should_upgrade():
            return  # `_without_upgrade` makes the same request anew.
        if not self._any_request and self.url.partition(b"?")[0] not in _PROBES:
            self._raise_refusal(_FULL)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._raise_refusal(_INVALID)
        self._head_complete = True
        self._deadline = self.loop.time() + BODY_S
        self._peers.begin_request(self)
        super().on_headers_complete()
        # The connection is kept only if the answer begins after the end of the request.
        self._keep_alive, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_message_complete(self) -> None:
        """The request has ended."""
        if self.parser.should_upgrade():
            return
        self._in_request = False
        self._deadline = inf
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        super().on_message_complete()

    def _count_head(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            self._raise_refusal(_HEAD_TOO_LARGE)

    def _raise_refusal(self, refusal: tuple[Code, str]) -> None:
        self._refusal = refusal
        raise ValueError(refusal)

    # What becomes of the connection.

    def on_response_complete(self) -> None:
        """Lets go of the request, and waits for the next one."""
        super().on_response_complete()
        if not self.pipeline and not self._in_request:
            self._release()
            self._peers.await_request(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as the application writes."""
        self._unread_deadline = self.loop.time() + UNREAD_S
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._unread_deadline = inf
        super().resume_writing()

    def expire(self, now: float) -> None:
        """Ends the connection if one of its time limits is over."""
        if now >= self._unread_deadline:
            self.abort()
        elif now >= self._deadline and self._in_request:
            part, limit_s = ("body", BODY_S) if self._head_complete else ("headers", HEAD_S)
            self._refuse(
                Code.REQUEST_TIMEOUT, f"The {part} did not come within {limit_s:.0f} seconds."
            )
        elif now >= self._deadline:
            self.abort()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._ending = True
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: ends the connection after the answer in progress."""
        self._keep_alive = False
        if self._in_request and self.cycle and not self.cycle.response_complete:
            # A body that is not complete by now may never come.
            self.loop.call_later(LINGER_S, self._refuse_if_incomplete)
        super().shutdown()

    def _refuse_if_incomplete(self) -> None:
        if self._in_request:
            self._refuse(*_STOPPING)

    def _refuse(self, code: Code, message: str) -> None:
        """Answers the current request with an error, and ends the connection."""
        if self._ending:
            return
        metrics.HTTP_REFUSALS.add(1, code)
        cycle = self.cycle
        if cycle and not cycle.response_complete:
            # The application is told that nobody listens.
            cycle.disconnected = True
            cycle.message_event.set()
            # An error in the place of an earlier request's answer would be taken for that answer.
            if cycle.response_started or self.pipeline or not self._head_complete:
                self.abort()
                return
        self.transport.write(raw_answer(code, message))
        self.transport.close()

    def _end(self) -> None:
        """Closes the connection; before that, reads what is on its way."""
        if self._ending:
            return
        self._ending = True
        self._deadline = inf
        if self._in_request and self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.abort)
            self._release()
        else:
            self.transport.close()

    def _release(self) -> None:
        """Lets go of the last request, so that a kept connection holds no tokens and no body."""
        self.headers, self.url = [], b""
        self.scope = {}  # type: ignore[typeddict-item]
        if self.cycle and self.cycle.response_complete:
            self.cycle.scope = {}  # type: ignore[typeddict-item]
            self.cycle.body = bytearray()
