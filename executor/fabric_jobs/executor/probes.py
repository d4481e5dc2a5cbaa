"""`/livez` and `/metrics` of an executor, for an orchestrator and Prometheus, on a port of its own.

Threads answer the requests, so that `/livez` can report a blocked event loop. There is no
authentication.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fabric_jobs.runtime.settings import PREFIX, SettingsError, family_of, host_port

#: Seconds that the event loop may take to answer. Then it counts as blocked.
LOOP_TIMEOUT_S = 5.0
#: Seconds that the server may take to notice that it should stop.
STOP_POLL_S = 0.5


@asynccontextmanager
async def serve_probes(
    address: str, unhealthy_reasons: Callable[[], list[str]]
) -> AsyncIterator[None]:
    """Serves `/livez` and `/metrics` on `HOST:PORT` until the block ends.

    `/livez` fails while `unhealthy_reasons`, which a thread calls, returns a reason.

    Raises `SettingsError` if the address can't be used.
    """
    handler = partial(_RequestHandler, asyncio.get_running_loop(), unhealthy_reasons)
    try:
        server = _Server(host_port(address), handler)
    except OSError as error:
        raise SettingsError(f"{PREFIX}METRICS_ADDRESS={address}: {error.strerror}.") from error
    threading.Thread(
        target=server.serve_forever, args=(STOP_POLL_S,), name="probes", daemon=True
    ).start()
    try:
        yield
    finally:
        await _shut_down(server)
        server.server_close()


async def _shut_down(server: ThreadingHTTPServer) -> None:
    """Stops the server in its own thread: handlers may use all threads of `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        server.shutdown()
        loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=stop, name="probes stop", daemon=True).start()
    await stopped.wait()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: Callable[..., "_RequestHandler"]) -> None:
        self.address_family = family_of(address[0])
        super().__init__(address, handler)


class _RequestHandler(BaseHTTPRequestHandler):
    #: prometheus_client asks for at most one collection at a time.
    _metrics_lock = threading.Lock()

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        unhealthy_reasons: Callable[[], list[str]],
        *args: Any,
    ) -> None:
        self._loop = loop
        self._unhealthy_reasons = unhealthy_reasons
        super().__init__(*args)

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/livez":
                reasons = self._unhealthy_reasons()
                if not self._does_loop_answer():
                    reasons.append("The event loop is blocked.")
                body = json.dumps({"ok": not reasons, "reasons": reasons}).encode()
                self._respond(503 if reasons else 200, body)
            case "/metrics":
                with self._metrics_lock:
                    text = generate_latest()
                self._respond(200, text, CONTENT_TYPE_PLAIN_0_0_4)
            case _:
                self._respond(404, b"", "text/plain")

    def _does_loop_answer(self) -> bool:
        answered = threading.Event()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered.wait(LOOP_TIMEOUT_S)

    def _respond(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing: a probe comes every few seconds."""
