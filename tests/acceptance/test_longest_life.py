"""The longest life of a job: a setting that all facades share, and that handlers must respect."""

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.check_report import Report
from tests.support.paths import ROOT
from tests.support.programs import (
    Fabric,
    Program,
    addresses,
    executor,
    facade,
    new_id,
    status_api,
)
from tests.support.rpc_kit import error_info

DAY_S = 86_400
HANDLERS = """
from fabric_jobs.executor import Executor, Job
executor = Executor()

@executor.job("Test.Item", "long", run_timeout_s=172800)
async def long(job: Job) -> None: ...
"""


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """A topic and a pool of the test's own."""
    return apache.environment(topic) | {"FABRIC_JOBS_AUTHENTICATION": "off"}


async def unready_reasons(replica: Program, *, until: int) -> list[str]:
    """The reasons of `/readyz`, once it answers with this status."""
    url = f"http://{addresses(replica)['FABRIC_JOBS_HTTP_ADDRESS']}/readyz"
    async with httpx.AsyncClient() as client, asyncio.timeout(40):
        while (answer := await client.get(url)).status_code != until:
            await asyncio.sleep(0.1)
    reasons: list[str] = answer.json().get("reasons", [])
    return reasons


async def refused_session(replica: Program) -> grpc.aio.AioRpcError:
    """The error with which the facade refuses an executor's session."""
    async with status_api(replica) as stub:
        call = stub.Session(iter([pb.SessionRequest(hello=pb.Hello(executor_id="e"))]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    return raised.value


async def test_facade_whose_longest_life_differs_is_not_ready_and_names_both_values(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It creates no job. Once the eldest facade has ended, it is ready."""
    shorter = environment | {"FABRIC_JOBS_LONGEST_LIFE_S": str(DAY_S // 2)}
    log = tmp_path / "log"
    async with (
        facade(**environment) as eldest,
        facade(log_file=str(log), **shorter) as other,
        Fabric(eldest) as fabric,
        Fabric(other) as other_fabric,
    ):
        (reason,) = await unready_reasons(other, until=503)
        refused = await other_fabric.create(new_id())
        session = await refused_session(other)
        accepted = await fabric.create(new_id())
        assert await unready_reasons(eldest, until=200) == []
        await eldest.stop()
        await unready_reasons(other, until=200)
        created = await other_fabric.create(new_id())
    text = log.read_text()

    assert "FABRIC_JOBS_LONGEST_LIFE_S is 43200 here and 86400 in the eldest facade" in reason
    assert (refused.status_code, accepted.status_code, created.status_code) == (503, 202, 202)
    assert "LONGEST_LIFE_DIFFERS" in refused.text
    assert f"this facade is not ready: {reason}" in text
    assert session.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(session).reason == "LONGEST_LIFE_DIFFERS"


async def test_executor_with_a_run_timeout_beyond_the_longest_life_ends_with_one_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Its last line names both. With a longer life the same executor starts."""
    (tmp_path / "long_jobs.py").write_text(HANDLERS)
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    async with facade(**environment) as short:
        ended = await asyncio.to_thread(run_executor, short, environment | path)
    longer = environment | {
        "FABRIC_JOBS_LONGEST_LIFE_S": str(2 * DAY_S),
        "FABRIC_JOBS_EVENTS_TOPIC": environment["FABRIC_JOBS_EVENTS_TOPIC"] + ".longer",
        "FABRIC_JOBS_HEARTBEATS_TOPIC": environment["FABRIC_JOBS_HEARTBEATS_TOPIC"] + ".longer",
    }
    async with (
        facade(**longer) as long,
        executor("long_jobs:executor", long, **longer | path),
        Fabric(long, "long") as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id)
        await fabric.until(job_id, "Completed")

    assert ended.returncode == 2
    # Lines of the log may stand before it, of the consumer that joined its group meanwhile.
    assert ended.stderr.splitlines()[-1] == (
        "The handler of Test.Item long has run_timeout_s=172800, and the service ends every job "
        "after 86400 s. Lower run_timeout_s, or raise FABRIC_JOBS_LONGEST_LIFE_S of all facades."
    )
    assert "Traceback" not in ended.stderr


def test_topic_that_keeps_records_too_shortly_for_the_longest_life_is_refused(
    environment: dict[str, str],
) -> None:
    """The check names the setting, and gives the command with the retention that fits."""
    created = Report("--create", **environment)
    report = Report(**environment, FABRIC_JOBS_LONGEST_LIFE_S=str(24 * DAY_S))

    assert created.code == 0
    assert report.code == 1
    needs = "FABRIC_JOBS_LONGEST_LIFE_S=2073600 needs them for 62 days"
    assert f"retention.ms={17 * DAY_S * 1000}, but records must be kept" in report.text
    assert needs in report.text
    assert f"--add-config retention.ms={63 * DAY_S * 1000}" in report.text


def run_executor(replica: Program, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs an executor of `long_jobs` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "fabric_jobs.executor", "long_jobs:executor"],
        env=environment | {"FABRIC_JOBS_FACADES": replica.ready["grpc"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
