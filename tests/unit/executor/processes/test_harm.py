"""Handlers that harm the process in which they run. Other jobs are not harmed."""

import json
import os
import sys
from pathlib import Path

import pytest

from fabric_jobs.executor.runs import run as run_module
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import connect_runs, dispatched_attempt, run_to_end
from tests.support.fake_facade import FakeFacade
from tests.support.harmful_handlers import executor
from tests.support.process_handlers import ITEM_TYPE


async def run_jobs(
    facade: FakeFacade, job_type: str, job_ids: str = "a", **payload: str
) -> list[pb.Report]:
    """Runs the jobs, one after another. Returns their reports without those of progress."""
    async with connect_runs(facade, executor.handlers[ITEM_TYPE, job_type], slots=1) as runs:
        for job_id in job_ids:
            await run_to_end(runs, dispatched_attempt(job_id, json.dumps(payload).encode()))
    return [one for one in facade.reports if not one.HasField("progress")]


def outcomes(reports: list[pb.Report]) -> list[str | None]:
    """Returns the outcome of each report, such as `completed`."""
    return [report.WhichOneof("outcome") for report in reports]


async def test_job_in_a_forked_child_of_a_process_writes_into_no_file_and_gets_no_token(
    facade: FakeFacade, tmp_path: Path
) -> None:
    """The channel is closed there, so a file of the child may have the number of the channel's."""
    reports = await run_jobs(facade, "forking", until=str(tmp_path))

    assert outcomes(reports) == ["completed"], reports
    assert [(tmp_path / str(number)).read_text() for number in range(4)] == [
        "A process that a handler forked gets no access token. Get it in the handler itself.",
        *("", "", ""),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the test finds the files by /proc")
async def test_handler_that_closes_the_channel_of_its_process_fails(facade: FakeFacade) -> None:
    """Nothing can tell how the handler ended, so the process is killed."""
    (report,) = await run_jobs(facade, "closing-output")

    assert report.failed.error_code == "HandlerProcessDied"
    assert "closed its process's channel" in report.failed.message


@pytest.mark.skipif(sys.platform != "linux", reason="the test finds the files by /proc")
async def test_each_job_after_a_handler_that_closed_the_input_of_its_process_is_reported(
    facade: FakeFacade,
) -> None:
    """The process ends when it can read no more. A job that it has not read gets another one."""
    first, *others = outcomes(await run_jobs(facade, "closing-input", "abc"))

    assert first == "completed"
    assert len(others) == 2
    assert set(others) <= {"completed", "failed"}


async def test_run_whose_process_can_not_start_a_thread_is_handed_back(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The job is not to blame. The next one gets a new process."""
    monkeypatch.setattr(run_module, "NO_THREAD_PAUSE_S", 0.0)
    calls = tmp_path / "calls"
    reports = await run_jobs(facade, "spoiling", "abc", until=str(calls))

    assert outcomes(reports) == ["completed", "handed_back", "completed"]
    assert len(set(calls.read_text().split())) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the memory limit")
async def test_handler_whose_task_exceeds_the_memory_limit_fails_with_the_code_of_the_limit(
    facade: FakeFacade,
) -> None:
    """The `TaskGroup` of the task raises a group, and no `MemoryError`."""
    (report,) = await run_jobs(facade, "allocating")

    assert report.failed.error_code == "MemoryLimitExceeded"


async def test_job_in_a_process_begins_in_the_folder_of_the_executor(facade: FakeFacade) -> None:
    """The job before it has deleted the folder that it worked in."""
    reports = await run_jobs(facade, "moving", "ab")

    assert outcomes(reports) == ["completed"] * 2
    folders = {one.progress.message for one in facade.reports if one.HasField("progress")}
    assert folders == {os.getcwd()}


async def test_job_completes_although_the_folder_of_the_executor_was_deleted_meanwhile(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next job of the process begins in the root."""
    folder = tmp_path / "release"
    folder.mkdir()
    monkeypatch.chdir(folder)
    reports = await run_jobs(facade, "removing", "ab", until=str(folder))

    assert outcomes(reports) == ["completed"] * 2
    folders = [one.progress.message for one in facade.reports if one.HasField("progress")]
    assert folders == [str(folder), os.sep]
