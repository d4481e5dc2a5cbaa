"""The users' grants without Kafka and without an authority."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from msgspec.structs import replace

from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.lifecycle import Job, decide, fold
from fabric_jobs.facade.on_behalf_of import Grants
from fabric_jobs.facade.on_behalf_of.token import Token
from fabric_jobs.facade.replica import Change, StoredJob
from fabric_jobs.facade.sealing import Sealer
from fabric_jobs.runtime.settings import RingKey, Secret
from tests.support.controls import MemoryLog
from tests.support.lifecycle import JOB, request, stamp

GRANT = "9a7b0000-0000-4000-8000-000000000001"
OTHER_GRANT = "9a7b0000-0000-4000-8000-000000000002"
TOPIC = "fabric.jobs.grants"
SCOPE = "https://storage.azure.com/.default"


def new_ring(*names: str) -> Sealer:
    """A ring of new keys for the grants topic."""
    return Sealer([RingKey(name, os.urandom(32)) for name in names], TOPIC)


def job_with_grant(grant_id: str | None = GRANT, job_id: str = JOB) -> Job:
    """A job that was just accepted, with this grant."""
    event: Any = decide(None, replace(request(job_id), grant_id=grant_id), stamp())
    _, job = fold(None, event)
    assert job
    return job


def final(job: Job) -> Change:
    """The change that makes the job final."""
    state = replace(job.state, status=JobInstanceStatus.COMPLETED, phase=JobPhase.ENDED)
    return Change(cast("Any", None), StoredJob(replace(job, state=state), 0, 0, 0))


class SetClock(Clock):
    """A confirmed clock. A test sets how far it is ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta()
        self.follow_wall_clock()

    def now(self) -> datetime:
        """The time now, plus what the test has set."""
        return super().now() + self.ahead


def open_grants(
    log: MemoryLog,
    ring: Sealer,
    get_job: Callable[[str], StoredJob | None] = lambda job_id: None,
    rank: int = 0,
    clock: Clock | None = None,
    *,
    record_time: bool = False,
) -> Grants:
    """Grants that have read the log to its end, and read what follows."""
    grants = Grants(
        cast("Any", log),
        ring,
        get_job,
        lambda: rank,
        longest_life_s=3600,
        record_time=record_time,
        clock=clock or SetClock(),
    )
    grants.apply(log.records, {0: len(log.records)})
    log.readers.append(grants)
    return grants


class FakeClient:
    """A confidential client that gives numbered tokens, or raises."""

    def __init__(self, lifetime_s: float = 3600.0) -> None:
        self.lifetime_s = lifetime_s
        self.calls: list[tuple[str, ...]] = []
        #: What the next calls raise, one each.
        self.errors: list[Exception] = []
        #: Set while calls may end.
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def exchange(self, tenant_id: str, subject_token: str, scope: str) -> Token:
        """Gives a token for the user's token."""
        return await self._token("exchange", tenant_id, subject_token, scope)

    async def refresh(
        self, tenant_id: str, refresh_token: Secret, scope: str, claims: str = ""
    ) -> Token:
        """Gives a token for the refresh token."""
        return await self._token("refresh", tenant_id, refresh_token.reveal(), scope)

    async def app_token(self, scope: str) -> Token:
        """Gives a token of the app."""
        return await self._token("app", scope)

    async def _token(self, *call: str) -> Token:
        self.calls.append(call)
        number = len(self.calls)
        await self.may_end.wait()
        if self.errors:
            raise self.errors.pop(0)
        now = time.time()
        return Token(
            access_token=Secret(f"access-{number}"),
            given_at=now,
            expires_at=now + self.lifetime_s,
            refresh_token=None if call[0] == "app" else Secret(f"refresh-{number}"),
        )
