"""The job monitor on a replica without a log: what is decided is folded at once."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec.structs import replace

from fabric_jobs.contract import events, heartbeats
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat
from fabric_jobs.contract.jobs import ErrorResponse, ErrorSource, Policy, Progress
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    Refusal,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    Request,
    RequestCancel,
    Settled,
    Stamp,
    decide,
)
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.monitor import Monitor, MonitorAccess, MonitorRole
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Identity, Replica, Store, StoredJob
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import Secret

READER, OPERATOR = "a reader's secret", "an operator's secret"
EXECUTOR = "5e1f0c7a-3b1d-4c55-9a51-2f8f0f0a6a11"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Fold:
    """Jobs, as the application asks for them, and commands that make them what a test needs."""

    def __init__(self) -> None:
        store = Store(None)
        store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
        self.replica = Replica(store)
        self.roster = Roster(cast("Any", None), "/facade/m", 30.0, record_time=False)
        #: How long ago it is that things happen.
        self.ago = timedelta()
        self._offset = 0

    async def freshen(self) -> None:
        """All was read."""

    async def read(self, job_id: str) -> StoredJob | None:
        """The job."""
        return self.replica.get(job_id)

    async def execute(self, command: Command) -> StoredJob:
        """The job after the command."""
        return self.do(command)

    def do(self, *commands: Command) -> StoredJob:
        """Folds what each command leads to; the job after the last."""
        for command in commands:
            entry = self.replica.get(command.job_id)
            time = datetime.now(UTC) - self.ago
            stamp = Stamp(event_id=str(uuid.uuid4()), source="/test", time=time)
            event = decide(entry.job if entry else None, command, stamp)
            if isinstance(event, Refusal):
                raise RefusedError(event)
            if isinstance(event, events.KnownEvent):
                self.apply([event])
            else:
                assert isinstance(event, Settled)
        after = self.replica.get(command.job_id)
        assert after
        return after

    def apply(self, found: Sequence[events.Event]) -> None:
        """Reads the events as one batch of records."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        records = [
            Record(0, self._offset + number, now_ms, events.encode(event))
            for number, event in enumerate(found)
        ]
        self._offset += len(records)
        self.replica.apply(records, {0: self._offset})

    def create(self, **fields: Any) -> str:
        """A new job; its id."""
        request = replace(_REQUEST, job_id=str(uuid.uuid4()), **fields)
        return self.do(request).job.job_id

    def start(self, job_id: str, **policy: Any) -> None:
        """An executor takes it."""
        entry = self.replica.get(job_id)
        assert entry
        self.do(
            Claim(
                job_id=job_id,
                attempt=entry.job.state.attempt,
                executor_id=EXECUTOR,
                dispatch_id=entry.job.dispatch_id,
                policy=Policy(**policy),
            )
        )

    def progress(self, job_id: str, fraction: float, message: str = "") -> None:
        """Its run says how far it is."""
        said = Progress(fraction, message)
        self.do(ReportProgress(job_id=job_id, attempt=1, executor_id=EXECUTOR, progress=said))

    def complete(self, job_id: str) -> None:
        """Its handler returns."""
        self.do(ReportCompleted(job_id=job_id, attempt=1, executor_id=EXECUTOR))

    def fail(
        self, job_id: str, message: str, code: str = "HandlerError", traceback: str = ""
    ) -> None:
        """Its run fails."""
        error = ErrorResponse(error_code=code, message=message, source=ErrorSource.SYSTEM)
        self.do(
            ReportFailed(
                job_id=job_id, attempt=1, executor_id=EXECUTOR, error=error, traceback=traceback
            )
        )

    def cancel(self, job_id: str) -> None:
        """Somebody wants it cancelled."""
        self.do(RequestCancel(job_id=job_id))

    def hear(self, heartbeat: ExecutorHeartbeat) -> None:
        """An executor is there."""
        self.roster.apply([Record(0, 0, 0, heartbeats.encode(heartbeat))], {})


_REQUEST = Request(
    job_id="",
    tenant_id=str(uuid.UUID(int=3)),
    workspace_id=str(uuid.UUID(int=1)),
    item_type="Contoso.Sales.Report",
    item_id=str(uuid.UUID(int=2)),
    job_type="refresh",
    invoke_type="Manual",
    request_hash="0" * 64,
    payload=msgspec.json.encode({"region": "north"}),
    traceparent=TRACEPARENT,
)


class Well(ReplicaHealth):
    """A replica's health, as the test says."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons

    def unready_reasons(self, fresh_s: float = 0) -> Sequence[str]:
        """What the test says."""
        return self.reasons


def monitor(
    fold: Fold, *, signed_in: bool = False, health: ReplicaHealth | None = None, **settings: Any
) -> tuple[Monitor, ASGIApp]:
    """The monitor, and an application that it is beside of. `signed_in` asks for tokens."""
    secrets = (
        {MonitorRole.READER: Secret(READER), MonitorRole.OPERATOR: Secret(OPERATOR)}
        if signed_in
        else {}
    )
    made = Monitor(
        # Nobody answers there.
        FacadeSettings(kafka_bootstrap_servers="127.0.0.1:1", **settings),
        MonitorAccess(secrets),
        cast("Any", fold),
        fold.replica,
        fold.roster,
        health or Well(),
    )
    return made, made.beside(_nothing)


def browser(app: Any, base_url: str = "http://localhost:5000") -> httpx.AsyncClient:
    """A browser's client, which keeps cookies; on this machine unless an address says otherwise."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)


async def signed_in(client: httpx.AsyncClient, token: str, **sent: str) -> httpx.Response:
    """The answer to a sign-in."""
    return await client.post(
        "/monitor/sign-in", data={"token": token} | sent, headers={"origin": str(client.base_url)}
    )


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(f"not for the monitor: {scope}")
