"""The users' grants, known to every replica by the grants topic. Each stays sealed in memory.

Rule 1: a grant is on the topic before the event that accepts its job. A grant whose job was not
accepted is used by nobody.
Rule 2: a job names its grant. So of two creates with one id, the one that lost has no effect.
Rule 3: when the job is final, each replica forgets the grant at once, and the facade of lowest rank
writes that it is deleted. What nobody deletes ends with the topic's retention.
Rule 4: the broker erases what was deleted, because it compacts the topic. It does not erase in the
segment that it writes to. So the facade of lowest rank writes an empty record from time to time,
which closes the segment. A key for each day would not help: a key that is derived from the ring is
there as long as the ring is, and a key that is not must be shared between the facades.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from fabric_jobs.contract import grants
from fabric_jobs.contract.grants import Consent, Grant
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.log import (
    Checkpoint,
    Log,
    LogUnavailableError,
    PoisonRecords,
    Record,
)
from fabric_jobs.facade.replica import Change, StoredJob
from fabric_jobs.facade.sealing import DamagedError, Purpose, Sealer
from fabric_jobs.runtime.settings import Secret

log = logging.getLogger("fabric_jobs.grants")

#: Seconds between two looks for grants to delete.
TICK_S = 1.0
#: Seconds that a facade waits longer than the one before it in rank.
RANK_DELAY_S = 5.0
#: Seconds between two looks at all grants, for those whose jobs ended while nobody looked.
SWEEP_S = 60.0
#: Seconds between two empty records.
CLOSE_S = 1800.0
#: Grants that are looked up before the event loop does other work.
GRANTS_PER_TURN = 250
#: Seconds after the longest life of a job after which a grant is forgotten.
SPARE_S = 3600.0
#: Seconds that a write may take.
WRITE_TIMEOUT_S = 5.0


class _Kept(NamedTuple):
    """A grant, and the time of its record in seconds since 1970."""

    grant: Grant
    time: float


class Grants:
    """Reads the grants topic, and writes to it. Each start reads it from its beginning."""

    def __init__(
        self,
        grants_log: Log,
        sealer: Sealer,
        get_job: Callable[[str], StoredJob | None],
        rank: Callable[[], int],
        *,
        longest_life_s: float,
        record_time: bool,
        clock: Clock,
    ) -> None:
        """`get_job` returns a job as this replica has read it.

        `record_time` says whether the broker writes its own time on each record.
        """
        self._log = grants_log
        self._sealer = sealer
        self._get_job = get_job
        self._rank = rank
        self._longest_life_s = longest_life_s
        self._record_time = record_time
        self._clock = clock
        self.poison = PoisonRecords("grant")
        self._grants: dict[str, _Kept] = {}
        #: Grants of final jobs, without what was sealed, and the monotonic time since when they
        #: wait to be deleted.
        self._ended: dict[str, tuple[Grant, float]] = {}

    @property
    def refused_records(self) -> int:
        """The number of records read so far that were refused because of their codes."""
        return self._log.refused_records

    async def write(
        self, grant_id: str, tenant_id: str, job_id: str, refresh_token: Secret
    ) -> None:
        """Seals a refresh token, and returns once Kafka has it. A later one replaces it.

        Raises `LogUnavailableError`.
        """
        consent = Consent(grant_id=grant_id, refresh_token=refresh_token.reveal())
        plain = msgspec.json.encode(consent)
        sealed = self._sealer.seal(Purpose.GRANT, tenant_id, job_id, plain)
        await self._append(
            Grant(grant_id=grant_id, tenant_id=tenant_id, job_id=job_id, sealed=sealed)
        )

    async def refresh_token(self, job: Job) -> Secret | None:
        """Returns the refresh token of the job's user; None if it was deleted, or is too old.

        Raises `LogUnavailableError` and `SealedError`.
        """
        grant_id = job.state.grant_id
        assert grant_id
        if grant_id not in self._grants:
            await self._log.read_to_end()
        kept = self._grants.get(grant_id)
        if kept is None:
            return None
        tenant_id = job.state.tenant_id
        plain = self._sealer.open(Purpose.GRANT, tenant_id, job.job_id, kept.grant.sealed)
        consent = msgspec.json.decode(plain, type=Consent)
        if consent.grant_id != grant_id:
            raise DamagedError("It belongs to another grant of the job.")
        return Secret(consent.refresh_token)

    def forget(self, grant_id: str) -> None:
        """Forgets a grant, because its job is final or another one's; it will be deleted."""
        if kept := self._grants.pop(grant_id, None):
            self._ended[grant_id] = (_without_secret(kept.grant), time.monotonic())

    def on_change(self, change: Change) -> None:
        """Forgets the grant of a job that is final now."""
        job = change.stored.job
        if job.final and job.state.grant_id:
            self.forget(job.state.grant_id)

    async def run(self) -> None:
        """Deletes the grants of final jobs until cancelled.

        It begins when the clock is confirmed: by a wrong clock, every grant may seem too old.
        """
        await self._clock.wait_until_confirmed()
        swept_at, closed_at = float("-inf"), time.monotonic()
        while True:
            now = time.monotonic()
            if now - swept_at > SWEEP_S:
                await self._sweep()
                swept_at = now
            if now - closed_at > CLOSE_S and not self._rank():
                await self.announce()
                closed_at = now
            await self._delete_ended()
            await asyncio.sleep(TICK_S)

    def checkpoints(self) -> dict[int, Checkpoint]:
        """No position is kept: each start reads the topic from its beginning."""
        return {}

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes in the grants that were read from the topic; of one id, the last one applies."""
        for record in records:
            if not (record.is_accepted and record.value):
                continue
            grant = grants.decode_record(record.key, record.value)
            if grant is None:
                self.poison.add(record)
            elif not grant.sealed:
                self._grants.pop(grant.grant_id, None)
                self._ended.pop(grant.grant_id, None)
            elif grant.grant_id not in self._ended:
                at = record.time_ms / 1000 if self._record_time else self._clock.now().timestamp()
                self._grants[grant.grant_id] = _Kept(grant, at)

    def reset(self) -> None:
        """Forgets every grant, because the topic is read from its beginning again."""
        self._grants.clear()
        self._ended.clear()

    async def announce(self) -> None:
        """Appends an empty record, which every replica skips: a missing ACL ends the start."""
        with suppress(LogUnavailableError):
            await self._log.append(0, b"facade", b"", [])

    async def _append(self, grant: Grant) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                acknowledgement = await self._log.append(
                    0, grant.grant_id.encode(), grants.encode(grant), []
                )
                await asyncio.wait([acknowledgement])
        except TimeoutError as error:
            raise LogUnavailableError("Kafka did not take the user's grant in time.") from error
        if acknowledgement.cancelled() or acknowledgement.exception():
            raise LogUnavailableError("Kafka did not take the user's grant.")

    async def _sweep(self) -> None:
        """Forgets the grants that no job can use any more."""
        oldest = self._clock.now().timestamp() - self._longest_life_s - SPARE_S
        for number, (grant_id, kept) in enumerate([*self._grants.items()], 1):
            stored = self._get_job(kept.grant.job_id)
            if stored and (stored.job.final or stored.job.state.grant_id != grant_id):
                self.forget(grant_id)
            elif kept.time < oldest:
                self._grants.pop(grant_id, None)
            if not number % GRANTS_PER_TURN:
                await asyncio.sleep(0)

    async def _delete_ended(self) -> None:
        before = time.monotonic() - self._rank() * RANK_DELAY_S
        for grant_id, (grant, since) in [*self._ended.items()]:
            if since <= before:
                try:
                    await self._append(grant)
                except LogUnavailableError as error:
                    log.debug("a grant will be deleted later: %s", error)
                    return
                self._ended.pop(grant_id, None)


def _without_secret(grant: Grant) -> Grant:
    return msgspec.structs.replace(grant, sealed="")
