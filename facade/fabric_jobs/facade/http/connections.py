"""The connections of the HTTP server: how many there are, and which one makes room for another."""

from typing import Protocol

from fabric_jobs.facade.http.limits import PROBE_CONNECTIONS, HttpLimits


class Connection(Protocol):
    """The methods of a connection that `Connections` calls."""

    def expire(self, now: float) -> None:
        """Ends the connection if one of its time limits is over at this time of the loop."""

    def abort(self) -> None:
        """Ends the connection at once."""


class Connections:
    """All connections. Those that wait for a request make room for new ones, the oldest first.

    So connections that are silent or send their headers slowly keep nobody out. While every one has
    a request in progress, further connections are for probes only.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self._for_requests: set[Connection] = set()
        #: Those without a request in progress, in the order in which they began to wait.
        self._waiting: dict[Connection, None] = {}
        #: Those for probes, in the order in which they came.
        self._for_probes: dict[Connection, None] = {}

    def add(self, connection: Connection) -> bool:
        """Adds a new connection; returns whether it may carry any request, not only probes."""
        if len(self._for_requests) >= self.limits.connections and self._waiting:
            self._make_room(next(iter(self._waiting)))
        if len(self._for_requests) < self.limits.connections:
            self._for_requests.add(connection)
            self._waiting[connection] = None
            return True
        if len(self._for_probes) >= PROBE_CONNECTIONS:
            self._make_room(next(iter(self._for_probes)))
        self._for_probes[connection] = None
        return False

    def begin_request(self, connection: Connection) -> None:
        """The connection has the headers of a request: it makes no room for others."""
        self._waiting.pop(connection, None)

    def await_request(self, connection: Connection) -> None:
        """The connection's answers are sent: it waits for the next request."""
        if connection in self._for_requests:
            self._waiting[connection] = None

    def remove(self, connection: Connection) -> None:
        """The connection has ended."""
        self._for_requests.discard(connection)
        self._waiting.pop(connection, None)
        self._for_probes.pop(connection, None)

    def expire(self, now: float) -> None:
        """Ends each connection of which a time limit is over."""
        for connection in [*self._for_requests, *self._for_probes]:
            connection.expire(now)

    def _make_room(self, connection: Connection) -> None:
        self.remove(connection)
        connection.abort()
