"""`fabric-jobs jobs` on Apache Kafka, as operators and their scripts run it."""

import asyncio
import json
import signal

import pytest

from fabric_jobs.contract import events
from tests.support.command import Result, run, start
from tests.support.programs import Fabric, Program, new_id
from tests.support.topic import put

pytestmark = pytest.mark.asyncio(loop_scope="module")

Replicas = tuple[Program, Program]


async def jobs(replica: Program, *arguments: str) -> Result:
    """Runs `fabric-jobs jobs`. The environment names the replica."""
    at = {"FABRIC_JOBS_GRPC_ADDRESS": replica.ready["grpc"]}
    return await run("jobs", *arguments, environment=at)


async def test_exhausted_jobs_are_retried_by_filters_and_name_the_jobs_that_took_their_place(
    replicas: Replicas, runner: Program
) -> None:
    """The new jobs run, and fail, too. A second retry finds only the new ones."""
    async with Fabric(replicas[0], "hopeless") as fabric:
        old = [new_id(), new_id()]
        for job_id in old:
            await fabric.create(job_id)
        for job_id in old:
            await fabric.until(job_id, "Failed")
        shown = await jobs(
            replicas[1], "retry", "--exhausted", "--job-type", "hopeless", "--dry-run"
        )
        retried = await jobs(replicas[1], "retry", "--exhausted", "--job-type", "hopeless", "--yes")
        listed = await jobs(replicas[1], "list", "--job-type", "hopeless", "--json")
        replaced = {
            job["jobId"]: job["replacedBy"]
            for job in map(json.loads, listed.stdout)
            if job["replacedBy"]
        }
        for job_id in replaced.values():
            await fabric.until(job_id, "Failed")
    again = await jobs(replicas[0], "retry", "--until", "0m", "--job-type", "hopeless", "--dry-run")
    exhausted = await jobs(replicas[0], "list", "--exhausted", "--job-type", "hopeless", "--ids")
    table = await jobs(replicas[0], "get", old[0])

    assert shown.exit_code == 0
    assert shown.stderr.startswith("2 jobs match ")
    assert (retried.exit_code, retried.stdout) == (0, ["2 retried"])
    assert set(replaced) == set(old)
    assert set(exhausted.stdout) == set(replaced.values())
    assert again.stderr.startswith("2 jobs match ")
    assert ["replaced", "by", replaced[old[0]]] in [line.split() for line in table.stdout]


async def test_ctrl_c_of_a_bulk_cancel_says_how_far_it_came(
    replicas: Replicas, runner: Program
) -> None:
    """Repeating the command cancels the rest."""
    async with Fabric(replicas[0], "nobody-cancels") as fabric:
        waiting = [new_id() for _ in range(12)]
        for job_id in waiting:
            await fabric.create(job_id)
        command = ("jobs", "cancel", "--job-type", "nobody-cancels", "--yes")
        at = {"FABRIC_JOBS_GRPC_ADDRESS": replicas[0].ready["grpc"]}
        async with start(*command, "--rate", "1", environment=at) as slow:
            # The third is cancelled after the answers about two have been counted.
            while (await fabric.state(waiting[2])).json()["status"] != "Cancelled":
                await asyncio.sleep(0.05)
            slow.process.send_signal(signal.SIGINT)
            stopped = await slow.wait()
        rest = await run(*command, "--rate", "1000", environment=at)
        states = [(await fabric.state(job_id)).json()["status"] for job_id in waiting]

    done = int(stopped.stdout[0].split()[0])
    assert stopped.exit_code == 130
    assert 2 <= done < 12
    assert f"Stopped after {done} of 12 jobs. Repeating the command is safe." in stopped.stderr
    # The last job's cancel may have been applied without its answer.
    assert rest.stdout in ([f"{12 - done} cancelled"], [f"{11 - done} cancelled"])
    assert rest.exit_code == 0
    assert states == ["Cancelled"] * 12


async def test_get_shows_a_job_with_its_payload(replicas: Replicas, runner: Program) -> None:
    """An unknown id is exit code 2."""
    async with Fabric(replicas[0], "journaled") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": "/dev/null"})
        await fabric.until(job_id, "Completed")
    shown = await jobs(replicas[1], "get", job_id)
    scripted = await jobs(replicas[1], "get", job_id.upper(), "--json")
    unknown = await jobs(replicas[1], "get", new_id())

    assert [line.split() for line in shown.stdout[:2]] == [["job", job_id], ["status", "Completed"]]
    assert json.loads("\n".join(scripted.stdout))["payload"] == {"journal": "/dev/null"}
    assert unknown == (
        2,
        [],
        "Error: No such job is known. `fabric-jobs jobs list` shows the jobs that are known.\n",
    )


async def test_running_job_is_watched_cancelled_and_then_retried(
    replicas: Replicas, runner: Program
) -> None:
    """A retry before the end is refused, because the job would run twice. The watch ends, too."""
    async with Fabric(replicas[0], "endless") as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        await fabric.until(job_id, "InProgress")
        following = asyncio.create_task(jobs(replicas[1], "watch", job_id))
        refused = await jobs(replicas[0], "retry", job_id)
        cancelled = await jobs(replicas[0], "cancel", job_id)
        followed = await following
        new = new_id()
        retried = await jobs(replicas[1], "retry", job_id, "--new-id", new)
        again = await jobs(replicas[0], "retry", job_id, "--new-id", new)
        other = await jobs(replicas[0], "cancel", new)

    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: The job is not final. Cancel it ")
    assert refused.stderr.count("\n") == 1
    assert cancelled.exit_code == 0
    assert cancelled.stdout in (["InProgress"], ["Cancelled"])
    assert followed == (3, ["Cancelled"], "")
    assert retried == again == (0, [new], "")
    assert other.exit_code == 0


async def test_watch_prints_each_event_until_ctrl_c(replicas: Replicas) -> None:
    """A line is printed as soon as its event is applied."""
    async with Fabric(replicas[1], "nobody-runs") as fabric:
        job_id = new_id()
        address = ("--grpc", replicas[0].ready["grpc"])
        async with start("jobs", "watch", "--json", *address) as command:
            assert command.process.stdout
            await command.wait_for_log("Watching")
            await fabric.create(job_id)
            await fabric.cancel(job_id)
            seen = [json.loads(await command.process.stdout.readline()) for _ in range(2)]
            command.process.send_signal(signal.SIGINT)
            ended = await command.wait()

    assert [(one["eventType"], one["job"]["jobId"]) for one in seen] == [
        ("fabric.jobs.requested", job_id),
        ("fabric.jobs.cancelled", job_id),
    ]
    assert ended == (130, [], "Watching for events. Press Ctrl-C to stop.\n")


async def test_events_are_read_from_the_topic(
    environment: dict[str, str], replicas: Replicas, runner: Program
) -> None:
    """Without --all only applied events are printed. An error names a wrong topic."""
    async with Fabric(replicas[0], "journaled") as fabric:
        job_id = new_id()
        await fabric.create(job_id, {"journal": "/dev/null"})
        await fabric.until(job_id, "Completed")
    at = environment | {"FABRIC_JOBS_GRPC_ADDRESS": replicas[1].ready["grpc"]}
    shown = await run("jobs", "events", job_id, environment=at)
    scripted = await run("jobs", "events", job_id, "--json", environment=at)
    first = json.loads(scripted.stdout[0])
    await put(environment, events.decode(json.dumps(first["event"]).encode()))
    async with Fabric(replicas[1]) as fabric:
        # A 404 comes only after the replica has read to the log's end, past the duplicate.
        assert (await fabric.state(new_id())).status_code == 404
    everything = [
        json.loads(line)
        for line in (await run("jobs", "events", job_id, "--all", "--json", environment=at)).stdout
    ]
    wrong = await run(
        "jobs", "events", job_id, environment=at | {"FABRIC_JOBS_EVENTS_TOPIC": "another"}
    )

    kinds = ["requested", "started", "progressed", "completed"]
    assert [line.split()[0::2][:2] for line in shown.stdout[1:]] == [
        [str(number), kind] for number, kind in enumerate(kinds, 1)
    ]
    assert [json.loads(line)["event"]["type"] for line in scripted.stdout] == [
        f"fabric.jobs.{kind}" for kind in kinds
    ]
    assert [one["applied"] for one in everything] == [True, True, True, True, False]
    assert everything[-1]["offset"] > everything[-2]["offset"]
    assert everything[-1]["event"] == first["event"]
    assert wrong.exit_code == 2
    assert "has no topic another with this job" in wrong.stderr
