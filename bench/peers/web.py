"""Serves every peer's HTTP as our facade is served."""

import socket
from typing import Any

import uvicorn


def serve(app: Any) -> None:
    """Serve on a free loopback port, and print the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"web ready url=http://127.0.0.1:{port}/jobs/", flush=True)

    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning")
    Server(config).run(sockets=[listening])
