"""The job monitor on a replica without a log: each command's event is applied at once."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec.structs import replace

from fabric_jobs.contract import controls, events, heartbeats
from fabric_jobs.contract.controls import JobTypeControl
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat
from fabric_jobs.contract.jobs import Policy, Progress
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.controls import JobTypes
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    Job,
    Refusal,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    Request,
    RequestCancel,
    Retry,
    SaveCheckpoint,
    Settled,
    Stamp,
    decide,
)
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.monitor import Monitor, MonitorAccess, MonitorRole, OpenIdSignIn
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Filter, Identity, Replica, Store, StoredJob
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.sealing import Content, JobSecrets
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import Secret
from tests.support.controls import open_controls
from tests.support.records import record_of
from tests.support.sealing import NO_SEALING

READER, OPERATOR = "a reader's secret", "an operator's secret"
EXECUTOR = "5e1f0c7a-3b1d-4c55-9a51-2f8f0f0a6a11"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class FoldedJobs:
    """Stands for `Jobs`, on a real replica, and has a method for each step of a job's life."""

    def __init__(self, secrets: JobSecrets = NO_SEALING, lease_s: float = 30.0) -> None:
        """An executor counts as silent after `lease_s` seconds without a heartbeat."""
        self.secrets = secrets
        store = Store(None)
        store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
        self.replica = Replica(store, 1)
        self.roster = Roster(
            cast("Any", None), Clock(), "/facade/m", lease_s, 86_400, record_time=False
        )
        self.controls = open_controls()
        jobs: Any = self
        self.job_types = JobTypes(jobs, self.replica, self.roster, self.controls)
        #: How long before the current time the next events happen.
        self.age = timedelta()
        self._offset = 0

    async def freshen(self) -> None:
        """Does nothing, because every event is applied at once."""

    async def read(self, job_id: str) -> StoredJob | None:
        """Returns the job."""
        return self.replica.get(job_id)

    def content(self, job: Job) -> Content:
        """Returns the job's content."""
        return self.secrets.content(job)

    async def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None
    ) -> tuple[Sequence[StoredJob], dict[int, int]]:
        """Returns the jobs that match, and no positions."""
        return await self.replica.list(which, limit, before), {}

    async def execute(self, command: Command) -> StoredJob:
        """Returns the job after the command."""
        return self.do(command)

    def do(self, *commands: Command) -> StoredJob:
        """Applies the event of each command. Returns the job after the last command."""
        for command in commands:
            stored = self.replica.get(command.job_id)
            time = datetime.now(UTC) - self.age
            stamp = Stamp(event_id=str(uuid.uuid4()), source="/test", time=time)
            prepared, job = self.secrets.prepare(command, stored.job if stored else None)
            event = decide(job, prepared, stamp)
            if isinstance(event, Refusal):
                raise RefusedError(event)
            if isinstance(event, events.KnownEvent):
                self.apply([self.secrets.seal(event)])
            else:
                assert isinstance(event, Settled)
        after = self.replica.get(command.job_id)
        assert after
        return after

    def apply(self, applied: Sequence[events.Event]) -> None:
        """Applies the events as one batch of records."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        records = [
            record_of(event, self._offset + number, time_ms=now_ms)
            for number, event in enumerate(applied)
        ]
        self._offset += len(records)
        self.replica.apply(records, {0: self._offset})

    def create(self, **fields: Any) -> str:
        """Creates a job with these fields. Returns its id."""
        return self.do(a_request(job_id=str(uuid.uuid4()), **fields)).job.job_id

    def start(self, job_id: str, **policy: Any) -> None:
        """Grants the job to an executor, with this policy."""
        stored = self.replica.get(job_id)
        assert stored
        self.do(
            Claim(
                job_id=job_id,
                attempt=stored.job.state.attempt,
                executor_id=EXECUTOR,
                dispatch_id=stored.job.dispatch_id,
                policy=Policy(**policy),
            )
        )

    def progress(self, job_id: str, fraction: float, message: str = "") -> None:
        """Reports progress of the job's first attempt."""
        progress = Progress(fraction, message)
        self.do(ReportProgress(job_id=job_id, attempt=1, executor_id=EXECUTOR, progress=progress))

    def save_checkpoint(self, job_id: str, checkpoint: bytes) -> None:
        """Saves a checkpoint of the job's first attempt."""
        self.do(
            SaveCheckpoint(job_id=job_id, attempt=1, executor_id=EXECUTOR, checkpoint=checkpoint)
        )

    def complete(self, job_id: str) -> None:
        """Reports that the job's first attempt is completed."""
        self.do(ReportCompleted(job_id=job_id, attempt=1, executor_id=EXECUTOR))

    def fail(
        self, job_id: str, message: str, code: str = "HandlerError", traceback: str = ""
    ) -> None:
        """Reports that the job's first attempt failed."""
        error = ErrorResponse(error_code=code, message=message, source=ErrorSource.SYSTEM)
        self.do(
            ReportFailed(
                job_id=job_id, attempt=1, executor_id=EXECUTOR, error=error, traceback=traceback
            )
        )

    def retry_and_complete(self, job_id: str) -> None:
        """Dispatches the job's second attempt, grants it, and reports that it is completed."""
        self.do(Retry(job_id=job_id, attempt=1))
        self.start(job_id)
        self.do(ReportCompleted(job_id=job_id, attempt=2, executor_id=EXECUTOR))

    def cancel(self, job_id: str) -> None:
        """Requests a cancel of the job."""
        self.do(RequestCancel(job_id=job_id))

    def pause(self, control: JobTypeControl) -> None:
        """Pauses a job type."""
        self.controls.apply(
            [Record(0, 0, 0, controls.encode(control), controls.key_of(control.kind))], {}
        )

    def add_executor(self, heartbeat: ExecutorHeartbeat) -> None:
        """Adds an executor with this heartbeat to the roster."""
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


def a_request(**fields: Any) -> Request:
    """Returns the command that creates a job with these fields."""
    return replace(_REQUEST, **fields)


class FixedHealth(ReplicaHealth):
    """The health of a replica with a fixed list of reasons why it is not ready."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons

    def unready_reasons(self, fresh_s: float = 0) -> Sequence[str]:
        """Returns the fixed reasons."""
        return self.reasons


def make_monitor(
    fold: FoldedJobs,
    *,
    tokens: bool = False,
    health: ReplicaHealth | None = None,
    people: OpenIdSignIn | None = None,
    **settings: Any,
) -> tuple[Monitor, ASGIApp]:
    """Returns a monitor, and an application that has it mounted. `tokens` requires a sign-in."""
    secrets = (
        {MonitorRole.READER: Secret(READER), MonitorRole.OPERATOR: Secret(OPERATOR)}
        if tokens
        else {}
    )
    monitor = Monitor(
        # No broker listens at this address.
        FacadeSettings(kafka_bootstrap_servers="127.0.0.1:1", **settings),
        MonitorAccess(secrets, people),
        people,
        cast("Any", fold),
        fold.replica,
        fold.roster,
        fold.job_types,
        health or FixedHealth(),
    )
    return monitor, monitor.mount_on(_refuse)


def browser_client(app: Any, base_url: str = "http://localhost:5000") -> httpx.AsyncClient:
    """Returns a client that keeps cookies, as a browser does. Its default host is localhost."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)


async def sign_in(client: httpx.AsyncClient, token: str, **fields: str) -> httpx.Response:
    """Sends the sign-in form. Returns the response."""
    return await client.post(
        "/monitor/sign-in", data={"token": token} | fields, headers={"origin": str(client.base_url)}
    )


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(f"a request outside the monitor: {scope}")
