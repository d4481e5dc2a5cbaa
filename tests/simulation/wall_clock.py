"""The wall clock of a simulated node."""


class WallClock:
    """The wall clock of a node, which may differ from the true time."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        #: Seconds that the clock gains in each second. Negative: it loses them.
        self._drift = 0.0
        self._drifts_since = 0.0

    def error_s(self, now: float) -> float:
        """Returns by how many seconds the clock is ahead at this time of the world."""
        return self._offset_s + self._drift * (now - self._drifts_since)

    def step(self, seconds: float) -> None:
        """Sets the clock forward, or back."""
        self._offset_s += seconds

    def change_drift(self, change: float, now: float) -> None:
        """Makes the clock gain more in each second from now on, or less."""
        self._offset_s = self.error_s(now)
        self._drift += change
        self._drifts_since = now
