"""The command `fabric-jobs`, run as a newcomer runs it: on its own broker, from a terminal."""

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import Fabric, JobInstance
from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT, LocalIdentity
from tests.conftest import Cluster
from tests.support.command import ANY_PORTS, DEADLINE_S, Dev, Ended, children, dev, run, started

FORECAST = ("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
IMPORT = ("Contoso.FinanceAnalytics.Forecast", "importActuals")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Dev]:
    """One for the tests that only use it."""
    async with dev() as one:
        yield one


async def until_gone(*pids: int) -> None:
    """Wait until none of the processes runs."""
    async with asyncio.timeout(DEADLINE_S):
        while any(Path(f"/proc/{pid}/cmdline").exists() and _command(pid) for pid in pids):
            await asyncio.sleep(0.02)


def _command(pid: int) -> str:
    # A zombie's is empty.
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


@pytest.mark.asyncio(loop_scope="module")
async def test_a_submitted_job_completes(running: Dev) -> None:
    """Its id and its final status on stdout, nothing on stderr, exit code 0."""
    told = await running.submit(*FORECAST, "--payload", '{"priority": "high"}', "--wait")

    assert told.stderr == ""
    assert told.exit_code == 0
    job_id, status = told.stdout
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", job_id)
    assert status == "Completed"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_submit_without_wait_tells_the_id(running: Dev) -> None:
    """As soon as the job is accepted."""
    job_id = "5af00000-0000-4000-8000-00000000abcd"
    told = await running.submit(*FORECAST, "--job-id", job_id)

    assert told == (0, [job_id], "")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_failed_job_is_exit_code_1(running: Dev) -> None:
    """With the error that the handler chose."""
    told = await running.submit(*IMPORT, "--wait")

    assert told.exit_code == 1
    assert told.stdout[-1] == "Failed"
    assert told.stderr == (
        "SourceMissing: The forecast has no source of actuals. Set one on the item.\n"
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_job_is_exit_code_3(running: Dev) -> None:
    """Whoever cancelled it."""
    job = JobInstance(item_type=FORECAST[0], job_type=FORECAST[1])
    ids = ("--workspace", job.workspace_id, "--item", job.item_id, "--job-id", job.job_id)
    waiting = asyncio.create_task(running.submit(*FORECAST, "--wait", *ids))
    identity = LocalIdentity(running.ready["authority"], DEVELOPMENT_TENANT)
    async with httpx.AsyncClient(auth=identity) as client, asyncio.timeout(DEADLINE_S):
        url = running.ready["http"] + job.path
        while (await client.get(url)).json().get("status") != "InProgress":
            await asyncio.sleep(0.02)
        assert (await client.post(f"{url}/cancel")).status_code == 200
    told = await waiting

    assert told.exit_code == 3
    assert told.stdout == [job.job_id, "Cancelled"]


@pytest.mark.asyncio(loop_scope="module")
async def test_jobs_that_overlap_all_complete(running: Dev) -> None:
    """More than the executor runs at a time, each asked for while others are decided."""
    identity = LocalIdentity(running.ready["authority"], DEVELOPMENT_TENANT)
    jobs = [JobInstance(item_type=FORECAST[0], job_type=FORECAST[1]) for _ in range(30)]
    async with Fabric(running.ready["http"], identity) as fabric:

        async def last_status(job: JobInstance) -> str:
            await fabric.create(job, Raw(b'{"priority": "high"}'))
            last = ""
            with suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_S):
                    async for state in fabric.states(job, every_s=0.5):
                        last = state.status
            return last

        ends = await asyncio.gather(*map(last_status, jobs))

    assert Counter(ends) == {"Completed": len(jobs)}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_conflict_is_exit_code_2(running: Dev) -> None:
    """The facade's code and message, in a line."""
    arguments = (*FORECAST, "--job-id", "5af00000-0000-4000-8000-00000000dcba")
    await running.submit(*arguments)
    told = await running.submit(*arguments)  # another workspace and item

    assert told.exit_code == 2
    assert told.stdout == []
    assert told.stderr.startswith("Error: 409 JobConflict: ")
    assert told.stderr.count("\n") == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_the_token_command_prints_what_another_client_needs(running: Dev) -> None:
    """As headers, a line each: with them the facade accepts a job, without them it doesn't."""
    told = await run("token", "--authority", running.ready["authority"])
    headers = dict(line.split(": ", 1) for line in told.stdout)
    url = running.ready["http"] + JobInstance(item_type=FORECAST[0], job_type=FORECAST[1]).path
    async with httpx.AsyncClient() as client:
        without = await client.post(url, json={"invokeType": "Manual"})
        accepted = await client.post(url, json={"invokeType": "Manual"}, headers=headers)

    assert without.status_code == 401
    assert accepted.status_code == 202


@pytest.mark.asyncio(loop_scope="module")
async def test_the_job_monitor_is_where_the_ready_line_says(running: Dev) -> None:
    """Open to this machine, with the executor that runs there."""
    async with httpx.AsyncClient() as client:
        page = await client.get(f"{running.ready['monitor']}/executors")

    assert page.status_code == 200
    assert FORECAST[1] in page.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
async def test_a_terminal_shows_the_progress(running: Dev) -> None:
    """A bar with what the handler says, and afterwards only the two lines."""
    ours, theirs = os.openpty()
    async with started(
        *("submit", *FORECAST, "--wait", *running.addresses),
        environment={"TERM": "xterm", "COLUMNS": "120"},
        terminal=theirs,
    ) as command:
        os.close(theirs)
        shown = asyncio.create_task(asyncio.to_thread(_all_of, ours))
        told = await command.end()

    assert told.exit_code == 0
    assert len(told.stdout) == 2
    assert re.search(r"InProgress.*%.*month \d+ of 12", await shown)


def _all_of(terminal: int) -> str:
    """What is written to a terminal until its last writer has gone."""
    shown = b""
    with open(terminal, "rb", buffering=0) as reading, suppress(OSError):
        while chunk := reading.read(4096):
            shown += chunk
    return shown.decode()


@on_linux
async def test_ctrl_c_ends_everything_with_exit_code_0() -> None:
    """The whole process group is told, as by a terminal; no child and no traceback is left."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        os.killpg(one.process.pid, signal.SIGINT)
        told = await one.command.end()

    assert len(pids) == 2
    assert told.exit_code == 0
    assert told.stdout == []
    assert "Traceback" not in told.stderr
    await until_gone(*pids)


@on_linux
@pytest.mark.parametrize("name", ["facade", "executor"])
async def test_a_killed_program_ends_everything(name: str) -> None:
    """The command says which it was, stops the other, and fails."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        os.kill(one.child(name), signal.SIGKILL)
        told = await one.command.end()

    assert told.exit_code == 1
    assert told.stderr.splitlines()[-1] == (
        f"Error: The {name} was ended by SIGKILL; everything is stopped."
    )
    await until_gone(*pids)


@on_linux
async def test_a_killed_command_leaves_no_program() -> None:
    """kill -9 of the parent ends the children too."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        one.process.kill()
        await one.process.wait()
        await until_gone(*pids)


async def test_one_s_own_handlers_run(tmp_path: Path) -> None:
    """A module in the current folder runs under any name; what it prints goes to stderr."""
    (tmp_path / "executor.py").write_text(
        "from fabric_jobs.executor import Executor, Job\n"
        "print('imported')\n"
        "executor = Executor()\n"
        "@executor.job('My.Item', 'greet')\n"
        "async def greet(job: Job[dict]) -> None:\n"
        "    print('hello', job.payload['name'])\n"
    )
    async with dev("executor:executor", cwd=tmp_path) as one:
        told = await one.submit("My.Item", "greet", "--payload", '{"name": "you"}', "--wait")
        one.process.terminate()
        left = await one.command.end()

    assert told.exit_code == 0
    assert told.stdout[-1] == "Completed"
    assert left.exit_code == 0
    assert left.stdout == []
    assert "imported" in left.stderr
    assert "hello you" in left.stderr


async def test_handlers_that_cannot_be_imported_end_it(tmp_path: Path) -> None:
    """The command says that the executor didn't start, and fails."""
    told = await run("dev", "nonsense:executor", *ANY_PORTS, cwd=tmp_path)

    assert told.exit_code == 1
    assert told.stdout == []
    assert re.search(
        r"\nError: The executor ended with exit code \d+ before it was ready\.\n$", told.stderr
    )


async def test_the_demonstration_shows_the_three_states() -> None:
    """In order, the last with both times; that is its exit code 0."""
    told = await run("demo")

    assert_whole_story(told)
    assert "embedded broker" in told.stdout[0]


async def test_the_demonstration_runs_on_apache_kafka(apache: Cluster, topic: str) -> None:
    """Named in the environment, it is used in place of the embedded broker."""
    told = await run("demo", environment={**apache.environment(topic), "FABRIC_JOBS_POOL": topic})

    assert_whole_story(told)
    assert apache.bootstrap_servers in told.stdout[0]


def assert_whole_story(told: Ended) -> None:
    """The states, in the order seen, and a success."""
    states = r" s  (NotStarted|InProgress|Completed|Failed|Cancelled)\b"
    seen = [found[1] for line in told.stdout if (found := re.search(states, line))]
    assert seen == ["NotStarted", "InProgress", "Completed"], told
    assert re.search(r"startTimeUtc=\S+ endTimeUtc=\S+", told.stdout[-1])
    assert told.exit_code == 0
