"""`python -m bench.loopback FILE TARGET`: copies a file over a TCP connection on loopback.

It is the lower bound of a new replica's start beside another one: the same bytes, written to the
disk as well, without a log, a database and a check.
"""

import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

PART_BYTES = 1024 * 1024


def copy(source: Path, target: Path) -> dict[str, float]:
    """The seconds that the copy took, and its bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as sender:
        begun = time.perf_counter()
        sending = sender.submit(_send, source, server)
        with (
            socket.create_connection(server.getsockname()) as connection,
            target.open("wb") as file,
        ):
            while part := connection.recv(PART_BYTES):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        sending.result()
        return {"seconds": time.perf_counter() - begun, "bytes": target.stat().st_size}


def _send(source: Path, server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, source.open("rb") as file:
        connection.sendfile(file)


if __name__ == "__main__":
    print(msgspec.json.encode(copy(Path(sys.argv[1]), Path(sys.argv[2]))).decode())
