"""`python -m bench.bare`: the facade's HTTP part without a log.

Routing, decoding, authentication and checks are the product's. A create is accepted at once, and a
poll gets a constant answer. The difference to a facade is the cost of the log.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uvloop

from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, JobPhase, JobState
from fabric_jobs.facade.http import AdmissionControl, HttpServer, Operations, http_app
from fabric_jobs.facade.jobs.instance import Instance
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Command, Job
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.garbage import tune_garbage_collection
from fabric_jobs.facade.startup.security import (
    admission_rules,
    authenticator,
    http_address,
    http_limits,
    job_secrets,
)
from fabric_jobs.runtime.settings import from_env
from fabric_jobs.runtime.telemetry import providers

_STATE = JobState(
    tenant_id="",
    workspace_id="",
    item_type="",
    item_id="",
    job_type="",
    invoke_type=InvokeType.MANUAL,
    request_hash="",
    create_time=datetime.now(UTC),
    status=JobInstanceStatus.NOT_STARTED,
    phase=JobPhase.QUEUED,
    attempt=1,
)
_JOB = Job(
    job_id="",
    sequence=1,
    event_id="",
    event_type="",
    decidable=True,
    state=_STATE,
    dispatch_id="",
    payload=b"null",
)
#: The job that every accepted command leads to.
STORED = StoredJob(_JOB, 0, 0, 0)


class Nowhere(Jobs):
    """A stand-in for jobs that accepts every command and stores nothing."""

    def __init__(self, settings: FacadeSettings) -> None:
        self.secrets = job_secrets(settings)

    def is_known(self, job_id: str) -> bool:
        """No job is known."""
        return False

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Accept the command."""
        return STORED


class Constant(Operations):
    """A stand-in for the replica with one answer for every poll."""

    async def state(self, instance: Instance) -> Job:
        """The job, which waits."""
        return _JOB


class Well:
    """The health of a program without log, which is always ready."""

    def failures(self) -> Sequence[str]:
        """No reasons."""
        return ()

    unready_reasons = failures


async def serve(name: str, settings: FacadeSettings, jobs: Jobs) -> None:
    """Serve until cancelled; the ready line begins with the name."""
    trusted = authenticator(settings)
    if trusted:
        await trusted.keys.start()
    admission = AdmissionControl(trusted, admission_rules(settings), lambda *_: True)
    health: Any = Well()
    app: Any = http_app(
        Constant(jobs, admission),
        settings.base_path,
        settings.body_limit_bytes,
        settings.definition_limit_bytes,
        health,
        docs=False,
    )
    http = HttpServer(app, *http_address(settings), http_limits(settings))
    print(f"{name} ready http=http://{http.address}{settings.base_path}", flush=True)
    await http.serve()


if __name__ == "__main__":
    tune_garbage_collection()
    with (
        providers.export_telemetry("bare", os.environ, prometheus=True),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        settings = from_env(FacadeSettings, os.environ)
        runner.run(serve("bare", settings, Nowhere(settings)))
