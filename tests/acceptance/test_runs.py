"""Jobs that run: handlers, reports, and what a crash leaves behind."""

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
    executor,
    facade,
    new_id,
    status_api,
    written,
)
from tests.support.topic import topic_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Seen(NamedTuple):
    """What is seen of a job's end."""

    status: str
    error: dict[str, Any] | None
    attempts: int
    exhausted: bool


async def test_a_job_goes_its_way(replicas: tuple[Program, Program], runner: Program) -> None:
    """Accepted, executed, reported, polled: Completed, with both times."""
    async with Fabric(replicas[0]) as one:
        job_id = new_id()
        await one.create(job_id)
        state = await one.until(job_id, "Completed")

    assert state["startTimeUtc"] <= state["endTimeUtc"]
    assert "errorDetails" not in state


async def test_one_id_posted_a_hundred_times_at_once_runs_once(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """Over both replicas, all 202: one run."""
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
        # Whatever else was dispatched lies before this job's record or is decided before it.
        after = new_id()
        await two.create(after, {"journal": str(journal)})
        await two.until(after, "Completed")

    assert {answer.status_code for answer in answers} == {202}
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{after} 1"]


async def test_a_killed_facade_s_running_jobs_complete(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """kill -9 of the only facade while jobs run: it starts again, and they complete."""
    environment = apache.environment(topic) | {"FABRIC_JOBS_STATE_DIR": str(tmp_path)}
    journal, go = tmp_path / "journal", tmp_path / "go"
    payload = {"journal": str(journal), "until": str(go)}
    job_ids = [new_id() for _ in range(5)]
    async with (
        facade(**environment) as first,
        executor(HANDLERS, first, **environment, FABRIC_JOBS_POOL=topic),
    ):
        async with Fabric(first, "journaled") as fabric:
            for job_id in job_ids:
                await fabric.create(job_id, payload)
            for job_id in job_ids:
                await fabric.until(job_id, "InProgress")
            await first.kill()
        go.touch()
        async with (
            facade(**environment, **addresses(first)) as second,
            Fabric(second, "journaled") as fabric,
        ):
            states = [await fabric.until(job_id, "Completed") for job_id in job_ids]

    assert all(state["startTimeUtc"] <= state["endTimeUtc"] for state in states)
    assert sorted(journal.read_text().split()[::2]) == sorted(job_ids)


async def test_a_raised_exception_becomes_the_error_details(
    environment: dict[str, str], replicas: tuple[Program, Program], runner: Program
) -> None:
    """Failed, still 200, and the message is the exception's; its traceback is the event's alone."""
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


async def test_a_handler_chooses_its_error(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """Code, message, source and permanence are the handler's."""
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


async def test_a_payload_of_the_wrong_type_fails_the_job_as_the_user_s(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The handler is not called, and the message names what is wrong."""
    async with Fabric(replicas[0], "journaled") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": 7})
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert (error["source"], error["isPermanent"]) == ("User", True)
    assert "$.journal" in error["message"]


async def test_a_synchronous_handler_runs_in_a_thread(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The executor's loop stays free, and progress may be said from the thread."""
    async with Fabric(replicas[0], "synchronous") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(tmp_path / "name")})
        await fabric.until(job_id, "Completed")

    assert (tmp_path / "name").read_text() != "MainThread"


async def test_a_running_job_is_cancelled(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """InProgress while it stops, then Cancelled; whichever replica took the cancel."""
    async with Fabric(replicas[0], "endless") as one, Fabric(replicas[1], "endless") as two:
        for who in (one, two):
            job_id = new_id()
            await one.create(job_id)
            await one.until(job_id, "InProgress")
            assert (await who.cancel(job_id)).json()["status"] == "InProgress"
            state = await who.until(job_id, "Cancelled", within_s=3)
            assert state["startTimeUtc"] <= state["endTimeUtc"]


async def test_a_failed_attempt_is_tried_again(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """InProgress meanwhile, each attempt once, and the first start stays the start."""
    async with Fabric(replicas[0], "flaky") as one, Fabric(replicas[1], "flaky") as two:
        job_id, journal = new_id(), tmp_path / "journal"
        await one.create(job_id, {"journal": str(journal)})
        first = await one.until(job_id, "InProgress")
        last = await two.until(job_id, "Completed")

    assert journal.read_text().splitlines() == [f"{job_id} {attempt}" for attempt in (1, 2, 3)]
    assert last["startTimeUtc"] == first["startTimeUtc"]


async def test_a_job_whose_attempts_are_used_up_fails_with_all_of_its_errors(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The last error, and the earlier one with its attempt in the details."""
    async with Fabric(replicas[0], "hopeless") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert error["message"] == "RuntimeError: attempt 2"
    (earlier,) = error["moreDetails"]
    assert earlier["message"] == "RuntimeError: attempt 1"
    assert earlier["additionalParameters"] == [{"name": "attempt", "value": "1"}]


async def test_a_run_that_outlasts_its_timeout_fails(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """Whether or not its handler listens."""
    async with Fabric(replicas[0], "slow") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        error = (await fabric.until(job_id, "Failed", within_s=10))["errorDetails"]

    assert error["errorCode"] == "RunTimedOut"


async def test_the_test_kit_says_of_a_job_what_the_stack_does(
    replicas: tuple[Program, Program], runner: Program, tmp_path: Path
) -> None:
    """The same jobs on both: the same ends, errors and numbers of attempts."""

    async def on_the_stack(job_type: str, payload: dict[str, Any], cancelled: bool) -> Seen:
        async with Fabric(replicas[0], job_type) as fabric, status_api(replicas[0]) as status:
            job_id = new_id()
            await fabric.create(job_id, payload)
            if cancelled:
                await written(Path(payload["journal"]))
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
