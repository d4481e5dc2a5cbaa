"""The paused job types, known to every replica by the controls topic.

No job's state depends on them, except that the error of a job that was not started in time names
the pause.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

from fabric_jobs.contract import controls
from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason, map_log_errors
from fabric_jobs.facade.log import Checkpoint, Log, LogUnavailableError, PoisonRecords, Record

log = logging.getLogger("fabric_jobs.controls")

#: The key of the empty records that facades append when they start.
_ANNOUNCEMENT_KEY = b"facade"


class Controls:
    """Reads the controls topic, and writes to it. Each start reads it from its beginning."""

    def __init__(self, controls_log: Log, deadline_s: float) -> None:
        """`deadline_s` is how long a write may take, in seconds."""
        self._log = controls_log
        self._deadline_s = deadline_s
        #: The records that are no controls.
        self.poison = PoisonRecords("control")
        self._paused: dict[JobKind, JobTypeControl] = {}

    @property
    def paused(self) -> Mapping[JobKind, JobTypeControl]:
        """The paused job types as of the records read so far; the same object at all times."""
        return self._paused

    async def write(self, control: JobTypeControl) -> None:
        """Appends the control, and returns once this replica has read it back.

        Raises `UnavailableError`; the control may apply all the same.
        """
        with map_log_errors():
            try:
                async with asyncio.timeout(self._deadline_s):
                    key, value = controls.key_of(control.kind), controls.encode(control)
                    acknowledgement = await self._log.append(0, key, value, [])
                    await asyncio.wait([acknowledgement])
                    if acknowledgement.cancelled() or acknowledgement.exception():
                        raise TimeoutError
                    await self._log.read_to_end()
            except TimeoutError as error:
                raise UnavailableError(
                    UnavailableReason.OUTCOME_UNKNOWN,
                    "The control was not read back in time, and may still take effect. "
                    "Send the call again: repeating is safe.",
                ) from error

    async def announce(self) -> None:
        """Appends an empty record, which every replica skips.

        So a missing ACL ends the facade at its start, and not when an operator pauses a job type.
        """
        with suppress(LogUnavailableError):
            await self._log.append(0, _ANNOUNCEMENT_KEY, b"", [])

    def checkpoints(self) -> dict[int, Checkpoint]:
        """No position is kept: each start reads the topic from its beginning."""
        return {}

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes in the controls that were read from the topic; of one key, the last one applies."""
        for record in records:
            if not record.value:
                continue
            control = controls.decode_record(record.key, record.value)
            if control is None:
                self.poison.add(record)
                continue
            kind = control.kind
            names = kind.item_type, kind.job_type
            if control.paused:
                self._paused[kind] = control
                log.info("%s %s is paused by %s: %s", *names, control.by, control.reason)
            elif self._paused.pop(kind, None):
                log.info("%s %s is resumed by %s", *names, control.by)

    def reset(self) -> None:
        """Forgets every control, because the topic is read from its beginning again."""
        self._paused.clear()
