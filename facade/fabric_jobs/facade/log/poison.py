"""Poison: records that are not what their topic holds. Readers skip, count and log them."""

import logging

from fabric_jobs.facade.log.reader import Record
from fabric_jobs.runtime.telemetry.summaries import LogSummary

log = logging.getLogger("fabric_jobs.log")

_UNDECODABLE = "it can't be decoded, or is out of bounds"


class PoisonRecords:
    """The poison of one topic."""

    def __init__(self, expected: str) -> None:
        """`expected` says what a record of the topic is, such as "job event"."""
        self._expected = expected
        self._summary = LogSummary(log)
        #: The number of records.
        self.count = 0

    def add(self, record: Record, reason: object = _UNDECODABLE) -> None:
        """Counts a record, and logs its position unless many were logged just before."""
        self.count += 1
        self._summary.add(
            "skipped a record that is no %s, partition %d offset %d: %s",
            self._expected,
            record.partition,
            record.offset,
            reason,
        )
