"""Summaries: many log lines of one kind become a few, with the number of the others."""

import logging
import math
import time

#: Lines of one kind that are logged in an interval.
BURST = 5
#: Seconds of an interval.
INTERVAL_S = 10.0


class LogSummary:
    """Logs at most `BURST` lines of one kind in an interval; the next line says how many it left.

    The lines that were left out are not lost to an operator: whoever logs them counts them in a
    metric.
    """

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log = log
        self._level = level
        self._since, self._logged, self._left_out = -math.inf, 0, 0

    def add(self, message: str, *arguments: object) -> None:
        """Logs the line, or counts it as left out."""
        now = time.monotonic()
        if now - self._since >= INTERVAL_S:
            if self._left_out:
                message, arguments = f"{message} (%d more before)", (*arguments, self._left_out)
            self._since, self._logged, self._left_out = now, 0, 0
        if self._logged == BURST:
            self._left_out += 1
            return
        self._logged += 1
        self._log.log(self._level, message, *arguments)
