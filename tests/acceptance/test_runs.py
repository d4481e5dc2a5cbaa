"""Runs of jobs: handlers, reports and crashes."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from fabric_jobs.contract import events
from fabric_jobs.executor.testing import run_job
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.handlers import executor as handlers
from tests.support.programs import (
    HANDLERS,
    Fabric,
    Program,
    addresses,
    await_content,
    await_lines,
    executor,
    facade,
    new_id,
    status_api,
)
from tests.support.topic import topic_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Seen(NamedTuple):
    """The end of a job, as the programs or the testing kit show it."""

    status: str
    error: dict[str, Any] | None
    attempts: int
    exhausted: bool


async def test_created_job_completes(replicas: tuple[Program, Program], runner: Program) -> None:
    """It is accepted, executed, reported and polled: Completed, with both times."""
    async with Fabric(replicas[0]) as one:
        job_id = new_id()
        await one.create(job_id)
        state = await one.until(job_id, "Completed")

    assert state["startTimeUtc"] <= state["endTimeUtc"]
    assert "errorDetails" not in state


async def test_create_sent_a_hundred_times_at_once_runs_once(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """Both replicas answer 202 to each create, and the job has one run."""
    async with Fabric(replicas[0], "journaled") as one, Fabric(replicas[1], "journaled") as two:
        job_id, journal = new_id(), tmp_path / "journal"
        answers = await asyncio.gather(
            *(
                who.create(job_id, {"journal": str(journal)})
                for who in (one, two)
                for _ in range(50)
            )
        )
        await one.until(job_id, "Completed")
        # Any second dispatch of the first job is decided before this job's.
        after = new_id()
        await two.create(after, {"journal": str(journal)})
        await two.until(after, "Completed")

    assert {answer.status_code for answer in answers} == {202}
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{after} 1"]


async def test_next_attempt_resumes_from_the_checkpoint_of_the_failed_one(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The facades keep the last value, and the dispatch of attempt 2 carries it to its handler."""
    journal, job_id = tmp_path / "journal", new_id()
    async with Fabric(replicas[0], "resumed") as one, status_api(replicas[1]) as status:
        await one.create(job_id, {"journal": str(journal)})
        await one.until(job_id, "Completed")
        got = await status.GetJob(pb.GetJobRequest(job_id=job_id))

    assert journal.read_text().splitlines() == ["0", "7"]
    assert (got.job.attempt, got.checkpoint) == (2, b"")


async def test_running_jobs_of_a_killed_facade_complete(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """After kill -9 of the only facade, its successor gets the reports."""
    environment = apache.environment(topic) | {"FABRIC_JOBS_STATE_DIR": str(tmp_path)}
    journal, go = tmp_path / "journal", tmp_path / "go"
    payload = {"journal": str(journal), "until": str(go)}
    job_ids = [new_id() for _ in range(5)]
    async with (
        facade(**environment) as first,
        executor(HANDLERS, first, **environment),
    ):
        async with Fabric(first, "journaled") as fabric:
            for job_id in job_ids:
                await fabric.create(job_id, payload)
            # Fabric may see InProgress before the executor has its grant.
            await await_lines(journal, len(job_ids))
            await first.kill()
        go.touch()
        async with (
            facade(**environment, **addresses(first)) as second,
            Fabric(second, "journaled") as fabric,
        ):
            states = [await fabric.until(job_id, "Completed") for job_id in job_ids]

    assert all(state["startTimeUtc"] <= state["endTimeUtc"] for state in states)
    assert sorted(journal.read_text().split()[::2]) == sorted(job_ids)


async def test_exception_of_a_handler_becomes_the_error_details(
    environment: dict[str, str], replicas: tuple[Program, Program], runner: Program
) -> None:
    """The message is the exception's. The traceback is in the event and not in the answer."""
    async with Fabric(replicas[0], "raises") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]
    async with topic_of(environment) as topic:
        *_, failed = await topic.events_of(job_id)

    assert error == {
        "errorCode": "HandlerError",
        "message": "ValueError: no such region",
        "source": "System",
        "isPermanent": False,
    }
    assert isinstance(failed, events.Failed)
    lines = str(failed.data.traceback).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in raises")
    assert lines[-1] == "ValueError: no such region"


async def test_job_failed_by_its_handler_has_the_handlers_error(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """Code, message, source and permanence are those of `JobFailed`."""
    async with Fabric(replicas[0], "fails") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert error == {
        "errorCode": "RegionClosed",
        "message": "The region is closed. Choose another.",
        "source": "User",
        "isPermanent": True,
    }


async def test_payload_of_the_wrong_type_fails_the_job_as_a_user_error(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The handler is not called, and the message names the wrong field."""
    async with Fabric(replicas[0], "journaled") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": 7})
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert (error["source"], error["isPermanent"]) == ("User", True)
    assert "$.journal" in error["message"]


async def test_synchronous_handler_runs_in_a_thread(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The event loop stays free, and the thread may report progress."""
    async with Fabric(replicas[0], "synchronous") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(tmp_path / "name")})
        await fabric.until(job_id, "Completed")

    assert (tmp_path / "name").read_text() != "MainThread"


async def test_running_job_is_cancelled_on_either_replica(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The job is InProgress while its handler stops, then Cancelled."""
    async with Fabric(replicas[0], "endless") as one, Fabric(replicas[1], "endless") as two:
        for who in (one, two):
            job_id = new_id()
            await one.create(job_id)
            await one.until(job_id, "InProgress")
            assert (await who.cancel(job_id)).json()["status"] == "InProgress"
            state = await who.until(job_id, "Cancelled", within_s=3)
            assert state["startTimeUtc"] <= state["endTimeUtc"]


async def test_failed_attempt_is_retried(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The job stays InProgress, each attempt runs once, and the first start time stays."""
    async with Fabric(replicas[0], "flaky") as one, Fabric(replicas[1], "flaky") as two:
        job_id, journal = new_id(), tmp_path / "journal"
        await one.create(job_id, {"journal": str(journal)})
        first = await one.until(job_id, "InProgress")
        last = await two.until(job_id, "Completed")

    assert journal.read_text().splitlines() == [f"{job_id} {attempt}" for attempt in (1, 2, 3)]
    assert last["startTimeUtc"] == first["startTimeUtc"]


async def test_job_without_attempts_left_fails_with_all_of_its_errors(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The last error is the job's; the earlier one is in the details with its attempt."""
    async with Fabric(replicas[0], "hopeless") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert error["message"] == "RuntimeError: attempt 2"
    (earlier,) = error["moreDetails"]
    assert earlier["message"] == "RuntimeError: attempt 1"
    assert earlier["additionalParameters"] == [{"name": "attempt", "value": "1"}]


async def test_run_longer_than_its_timeout_fails(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The run fails whether or not its handler reacts to the cancel."""
    async with Fabric(replicas[0], "slow") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed", within_s=10))["errorDetails"]

    assert error["errorCode"] == "RunTimedOut"


async def test_testing_kit_ends_each_job_as_the_programs_do(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The kit and the programs give the same ends, errors and numbers of attempts."""

    async def on_the_stack(job_type: str, payload: dict[str, Any], cancelled: bool) -> Seen:
        async with Fabric(replicas[0], job_type) as fabric, status_api(replicas[0]) as status:
            job_id = new_id()
            await fabric.create(job_id, payload)
            if cancelled:
                await await_content(Path(payload["journal"]))
                await fabric.cancel(job_id)
            state = await fabric.until(job_id, "Completed", "Failed", "Cancelled")
            job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
            return Seen(state["status"], state.get("errorDetails"), job.attempt, job.exhausted)

    def in_the_kit(job_type: str, payload: dict[str, Any], cancelled: bool) -> Seen:
        cancel_when = (lambda progress: progress.fraction == 0.5) if cancelled else None
        got = run_job(handlers, "Test.Item", job_type, payload, cancel_when=cancel_when)
        error = None if got.error is None else json.loads(msgspec.json.encode(got.error))
        return Seen(got.status, error, got.attempts, got.exhausted)

    jobs: list[tuple[str, dict[str, Any], bool]] = [
        ("quick", {}, False),
        ("raises", {}, False),
        ("fails", {}, False),
        ("hopeless", {}, False),
        ("slow", {}, False),
        ("journaled", {"journal": 7}, False),
        ("flaky", {"journal": str(tmp_path / "flaky")}, False),
        ("synchronous", {"journal": str(tmp_path / "synchronous")}, False),
        *(
            (
                "cancellable",
                {"journal": str(tmp_path / then), "until": str(tmp_path / "never"), "then": then},
                True,
            )
            for then in ("stop", "fail", "return")
        ),
    ]
    stack = await asyncio.gather(*(on_the_stack(*job) for job in jobs))
    kit = [await asyncio.to_thread(in_the_kit, *job) for job in jobs]

    assert kit == stack
    assert Counter(seen.status for seen in kit) == {"Completed": 4, "Failed": 5, "Cancelled": 2}
