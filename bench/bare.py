"""`python -m bench.bare`: the facade's own HTTP, with no log behind it.

Routing, decoding, authentication and checks are the product's; a create is accepted at once, and a
poll is answered with a constant. What the log costs is the difference.
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
from fabric_jobs.facade.startup.security import admission_rules, authenticator, http_address
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
_ENTRY = StoredJob(_JOB, 0, 0, 0)


class Nowhere(Jobs):
    """Takes every command, and keeps nothing."""

    def __init__(self) -> None:
        pass

    def is_known(self, job_id: str) -> bool:
        """Nothing is."""
        return False

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Done."""
        return _ENTRY


class Constant(Operations):
    """Polls have one answer."""

    async def state(self, instance: Instance) -> Job:
        """It waits."""
        return _JOB


class Well:
    """What has no log behind it is always well."""

    def failures(self) -> Sequence[str]:
        """Nothing is wrong."""
        return ()

    unready_reasons = failures


async def serve(settings: FacadeSettings) -> None:
    """Answers until cancelled."""
    trusted = authenticator(settings)
    if trusted:
        await trusted.keys.start()
    admission = AdmissionControl(trusted, admission_rules(settings), lambda *_: True)
    health: Any = Well()
    app: Any = http_app(
        Constant(Nowhere(), admission),
        settings.base_path,
        settings.body_limit_bytes,
        health,
        docs=False,
    )
    http = HttpServer(app, *http_address(settings))
    print(f"bare ready http=http://{http.address}{settings.base_path}", flush=True)
    await http.serve()


if __name__ == "__main__":
    tune_garbage_collection()
    with (
        providers.export_telemetry("bare", os.environ, prometheus=True),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(from_env(FacadeSettings, os.environ)))
