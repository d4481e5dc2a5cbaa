"""The transport of an HTTP connection: it joins writes, and leaves its end to the protocol."""

import asyncio
from collections.abc import Callable
from typing import Any


class JoiningTransport:
    """A transport that sends the writes of one turn of the event loop together.

    uvicorn writes the head and the body of an answer apart. Each write is a system call, which is a
    tenth of what a poll costs.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_close: Callable[[], None],
    ) -> None:
        """`on_close` is called once, instead of the first `close`."""
        self._transport = transport
        self._loop = loop
        self._on_close: Callable[[], None] | None = on_close
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Sends the data at the end of this turn of the event loop."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def write_eof(self) -> None:
        """Sends all data, and then that there is no more."""
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        """Sends all data, and closes the connection."""
        self._send()
        on_close, self._on_close = self._on_close, None
        if on_close:
            on_close()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._on_close is None or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            if not self._transport.is_closing():
                self._transport.write(data)
