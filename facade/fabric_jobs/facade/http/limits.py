"""The limits of the HTTP server: sizes in bytes, times in seconds, and connections."""

import logging
import resource

from msgspec import Struct

log = logging.getLogger("fabric_jobs.http")

#: Bytes of the request line and the headers of a request. Fabric's two tokens may have 16 KiB each.
MAX_HEAD_BYTES = 64 * 1024
#: Headers of a request. Fabric and the proxies before a facade send fewer than 50.
MAX_HEADERS = 128
#: Seconds in which the headers of a request must arrive. They begin with a new connection, or with
#: the first byte of a further request.
HEAD_S = 10.0
#: Seconds in which a body must arrive. They begin at the end of the headers.
BODY_S = 30.0
#: Seconds for which a client may leave the sent part of an answer unread.
UNREAD_S = 30.0
#: Seconds for which a closing connection is still read, so that its client sees the answer.
LINGER_S = 1.0
#: Requests that a client may send on a connection before it has the answer to the first one.
MAX_PIPELINED = 16
#: Connections beyond the limit on which only `/livez`, `/readyz` and `/metrics` are answered.
PROBE_CONNECTIONS = 16
#: Bytes on the connection for each byte of the largest body, because each chunk has its own head.
_FRAMING = 8


class HttpLimits(Struct, frozen=True, kw_only=True):
    """The limits that a facade's settings choose."""

    #: Seconds after which a connection without a request is closed.
    idle_s: float = 300.0
    #: Connections at a time, besides those for probes.
    connections: int = 1000
    #: The largest body of any route.
    body_bytes: int = 256 * 1024

    @property
    def message_bytes(self) -> int:
        """The bytes that a request may have on the connection, with headers and framing."""
        return MAX_HEAD_BYTES + _FRAMING * self.body_bytes


def affordable_connections(wanted: int) -> int:
    """The wanted number of connections, or half of the files that the process may open if fewer.

    The other half is for Kafka, gRPC, the state and the probes.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or wanted <= files // 2:
        return wanted
    log.warning(
        "this process may open %d files: HTTP takes %d connections instead of %d. Raise the limit "
        "of open files (ulimit -n).",
        *(files, files // 2, wanted),
    )
    return files // 2
