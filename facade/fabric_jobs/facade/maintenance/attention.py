"""Since when a replica has been attentive: whether what it has not heard did not happen.

A replica that was away, behind the log or the heartbeats, or whose event loop stood still may have
missed heartbeats and reports. What it may have missed counts against no run and no executor.
"""

import time
from collections.abc import Callable

from fabric_jobs.facade.log import Log

#: Seconds between two looks after which the event loop, or the machine, must have stood still.
STALL_S = 5.0
#: Seconds since the end of the heartbeats topic was last confirmed, for silence to count.
FRESH_S = 10.0


class Attention:
    """Looks at the replica itself. Leases and timers call `look` before each of their own looks."""

    def __init__(self, heartbeat_log: Log, ready: Callable[[], bool]) -> None:
        self._log = heartbeat_log
        self._ready = ready
        self._since: float | None = None
        self._looked_at = time.monotonic()

    def look(self) -> float | None:
        """The monotonic time since which the replica has been attentive; None if it is not now."""
        now = time.monotonic()
        stood_still = now - self._looked_at > STALL_S
        self._looked_at = now
        if not (self._ready() and self._log.is_confirmed_within(FRESH_S)):
            self._since = None
        elif stood_still or self._since is None:
            self._since = now
        return self._since
