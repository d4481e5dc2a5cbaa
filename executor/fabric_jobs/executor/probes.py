"""What an orchestrator and Prometheus ask of an executor, of anybody, on a port of its own.

It answers from threads, so that it can say that the event loop does not.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fabric_jobs.runtime.settings import PREFIX, SettingsError, family_of, host_port

#: Seconds that the event loop may take to answer.
ANSWER_S = 5.0


@asynccontextmanager
async def answering(address: str) -> AsyncIterator[None]:
    """Answers `/livez` and `/metrics` on `HOST:PORT`. Raises `SettingsError`."""
    handler = partial(_Handler, asyncio.get_running_loop())
    try:
        server = _Server(host_port(address), handler)
    except OSError as error:
        raise SettingsError(f"{PREFIX}METRICS_ADDRESS={address}: {error.strerror}.") from error
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: Callable[..., "_Handler"]) -> None:
        self.address_family = family_of(address[0])
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    _one_at_a_time = threading.Lock()

    def __init__(self, loop: asyncio.AbstractEventLoop, *args: Any) -> None:
        self._loop = loop
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/livez":
                if self._loop_answers():
                    self._answer(200, b'{"ok": true, "reasons": []}')
                else:
                    self._answer(503, b'{"ok": false, "reasons": ["The event loop is blocked."]}')
            case "/metrics":
                with self._one_at_a_time:  # the exporter's own wish
                    text = generate_latest()
                self._answer(200, text, CONTENT_TYPE_PLAIN_0_0_4)
            case _:
                self._answer(404, b"", "text/plain")

    def _loop_answers(self) -> bool:
        answered = threading.Event()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered.wait(ANSWER_S)

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A probe is no news."""
