"""Inspects each record that was read: whether it has the code that it needs."""

import logging
from collections import Counter
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log.acknowledged import AppendedRecord
from fabric_jobs.facade.log.codes import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.reader import Record
from fabric_jobs.runtime.settings import variable
from fabric_jobs.runtime.telemetry.summaries import LogSummary

log = logging.getLogger("fabric_jobs.log")


class Inspection:
    """Verifies the codes of records, if the log has codes, and counts what they show."""

    def __init__(self, topic: str, codes: RecordCodes | None) -> None:
        self._topic = topic
        self._codes = codes
        self._refused = LogSummary(log, logging.ERROR)
        #: The number of records by what their codes showed; empty without a ring.
        self.counts: Counter[CodeVerdict] = Counter()

    def inspect(self, record: ConsumerRecord | AppendedRecord) -> Record:
        """The record as its reader gets it."""
        is_accepted = True
        if self._codes is not None:
            verdict = self._codes.verify(record)
            self.counts[verdict] += 1
            is_accepted = self._codes.accepts(verdict)
        return Record(
            record.partition,
            record.offset,
            record.timestamp,
            record.value,
            record.key,
            is_accepted,
        )

    def log_refused(self, records: Sequence[Record]) -> None:
        """Logs the positions of the records that were refused; of many, the first ones."""
        for record in records:
            if not record.is_accepted:
                self._refused.add(
                    "skipped a record of %s that has no right code of %s, partition %d offset %d",
                    self._topic,
                    variable("record_keys"),
                    record.partition,
                    record.offset,
                )
