"""`fabric-jobs dev`, `submit`, `token` and `demo` on the embedded broker, from a terminal."""

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
from tests.support.brokers import Cluster
from tests.support.command import ANY_PORTS, TIMEOUT_S, Dev, Result, children, dev, run, start
from tests.support.processes import await_gone

FORECAST = ("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
IMPORT = ("Contoso.FinanceAnalytics.Forecast", "importActuals")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the children in /proc")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Dev]:
    """A `fabric-jobs dev` that the tests share."""
    async with dev() as one:
        yield one


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_of_a_job_that_completes_is_exit_code_0(running: Dev) -> None:
    """stdout has the job's id and its final status, and stderr is empty."""
    result = await running.submit(*FORECAST, "--payload", '{"priority": "high"}', "--wait")

    assert result.stderr == ""
    assert result.exit_code == 0
    job_id, status = result.stdout
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", job_id)
    assert status == "Completed"


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_without_wait_prints_the_id(running: Dev) -> None:
    """The command ends as soon as the job is accepted."""
    job_id = "5af00000-0000-4000-8000-00000000abcd"
    result = await running.submit(*FORECAST, "--job-id", job_id)

    assert result == (0, [job_id], "")


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_of_a_job_that_fails_is_exit_code_1(running: Dev) -> None:
    """stderr has the error that the handler raised."""
    result = await running.submit(*IMPORT, "--wait")

    assert result.exit_code == 1
    assert result.stdout[-1] == "Failed"
    assert result.stderr == (
        "SourceMissing: The forecast has no source of actuals. Set one on the item.\n"
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_of_a_job_that_is_cancelled_is_exit_code_3(running: Dev) -> None:
    """Another client cancels the job."""
    job = JobInstance(item_type=FORECAST[0], job_type=FORECAST[1])
    ids = ("--workspace", job.workspace_id, "--item", job.item_id, "--job-id", job.job_id)
    waiting = asyncio.create_task(running.submit(*FORECAST, "--wait", *ids))
    identity = LocalIdentity(running.ready["authority"], DEVELOPMENT_TENANT)
    async with httpx.AsyncClient(auth=identity) as client, asyncio.timeout(TIMEOUT_S):
        url = running.ready["http"] + job.path
        while (await client.get(url)).json().get("status") != "InProgress":
            await asyncio.sleep(0.02)
        assert (await client.post(f"{url}/cancel")).status_code == 200
    result = await waiting

    assert result.exit_code == 3
    assert result.stdout == [job.job_id, "Cancelled"]


@pytest.mark.asyncio(loop_scope="module")
async def test_jobs_that_are_created_at_once_all_complete(running: Dev) -> None:
    """There are more jobs than the executor has slots."""
    identity = LocalIdentity(running.ready["authority"], DEVELOPMENT_TENANT)
    jobs = [JobInstance(item_type=FORECAST[0], job_type=FORECAST[1]) for _ in range(30)]
    async with Fabric(running.ready["http"], identity) as fabric:

        async def last_status(job: JobInstance) -> str:
            await fabric.create(job, Raw(b'{"priority": "high"}'))
            last = ""
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    async for state in fabric.states(job, every_s=0.5):
                        last = state.status
            return last

        ends = await asyncio.gather(*map(last_status, jobs))

    assert Counter(ends) == {"Completed": len(jobs)}


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_of_a_misspelt_type_says_at_once_that_no_executor_has_a_handler(
    running: Dev,
) -> None:
    """The nearest job type is named, and until when the job may still start. Ctrl-C ends it."""
    arguments = ("submit", FORECAST[0], "calculateForcast", "--wait", *running.addresses)
    async with start(*arguments) as waiting:
        await waiting.wait_for_log("unless it starts.")
        waiting.process.send_signal(signal.SIGINT)
        result = await waiting.wait()

    hint, _ = result.stderr.splitlines()
    assert result.exit_code == 130
    assert hint.startswith(
        f"No executor has a handler for {FORECAST[0]} calculateForcast; "
        f"there are {FORECAST[0]} calculateForecast, "
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_submit_of_an_id_in_use_is_exit_code_2(running: Dev) -> None:
    """stderr has the facade's error code and message on one line."""
    arguments = (*FORECAST, "--job-id", "5af00000-0000-4000-8000-00000000dcba")
    await running.submit(*arguments)
    result = await running.submit(*arguments)  # another workspace and item

    assert result.exit_code == 2
    assert result.stdout == []
    assert result.stderr.startswith("Error: 409 JobConflict: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_token_prints_headers_with_which_a_facade_accepts_a_job(running: Dev) -> None:
    """Each header is on its own line. Without the headers the facade answers 401."""
    result = await run("token", "--authority", running.ready["authority"])
    headers = dict(line.split(": ", 1) for line in result.stdout)
    url = running.ready["http"] + JobInstance(item_type=FORECAST[0], job_type=FORECAST[1]).path
    async with httpx.AsyncClient() as client:
        without = await client.post(url, json={"invokeType": "Manual"})
        accepted = await client.post(url, json={"invokeType": "Manual"}, headers=headers)

    assert without.status_code == 401
    assert accepted.status_code == 202


@pytest.mark.asyncio(loop_scope="module")
async def test_ready_line_of_dev_has_the_url_of_the_job_monitor(running: Dev) -> None:
    """The monitor needs no sign-in on this machine, and shows the executor."""
    async with httpx.AsyncClient() as client:
        page = await client.get(f"{running.ready['monitor']}/executors")

    assert page.status_code == 200
    assert FORECAST[1] in page.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
async def test_submit_on_a_terminal_shows_a_progress_bar(running: Dev) -> None:
    """The bar has the handler's message. stdout has only the id and the final status."""
    ours, theirs = os.openpty()
    async with start(
        *("submit", *FORECAST, "--wait", *running.addresses),
        environment={"TERM": "xterm", "COLUMNS": "120"},
        terminal=theirs,
    ) as command:
        os.close(theirs)
        shown = asyncio.create_task(asyncio.to_thread(_read_all, ours))
        result = await command.wait()

    assert result.exit_code == 0
    assert len(result.stdout) == 2
    assert re.search(r"InProgress.*%.*month \d+ of 12", await shown)


def _read_all(terminal: int) -> str:
    """Reads a terminal until its last writer has closed it."""
    text = b""
    with open(terminal, "rb", buffering=0) as reading, suppress(OSError):
        while chunk := reading.read(4096):
            text += chunk
    return text.decode()


@on_linux
async def test_dev_after_ctrl_c_stops_all_programs_with_exit_code_0() -> None:
    """SIGINT goes to the process group, as from a terminal. stderr has no traceback."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        os.killpg(one.process.pid, signal.SIGINT)
        result = await one.command.wait()

    assert len(pids) == 2
    assert result.exit_code == 0
    assert result.stdout == []
    assert "Traceback" not in result.stderr
    await await_gone(*pids)


@on_linux
@pytest.mark.parametrize("name", ["facade", "executor"])
async def test_dev_whose_program_is_killed_stops_the_other_and_fails(name: str) -> None:
    """The error names the program that was killed."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        os.kill(one.find_child(name), signal.SIGKILL)
        result = await one.command.wait()

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: The {name} was ended by SIGKILL; everything is stopped."
    )
    await await_gone(*pids)


@on_linux
async def test_dev_that_is_killed_leaves_no_program() -> None:
    """kill -9 of the command ends its programs, too."""
    async with dev() as one:
        pids = [pid for pid, _ in children(one.process.pid)]
        one.process.kill()
        await one.process.wait()
        await await_gone(*pids)


async def test_dev_runs_handlers_from_a_module_named_executor(tmp_path: Path) -> None:
    """The module is in the current folder. Its output goes to stderr."""
    (tmp_path / "executor.py").write_text(
        "from fabric_jobs.executor import Executor, Job\n"
        "print('imported')\n"
        "executor = Executor()\n"
        "@executor.job('My.Item', 'greet')\n"
        "async def greet(job: Job[dict]) -> None:\n"
        "    print('hello', job.payload['name'])\n"
    )
    async with dev("executor:executor", cwd=tmp_path) as one:
        result = await one.submit("My.Item", "greet", "--payload", '{"name": "you"}', "--wait")
        one.process.terminate()
        dev_result = await one.command.wait()

    assert result.exit_code == 0
    assert result.stdout[-1] == "Completed"
    assert dev_result.exit_code == 0
    assert dev_result.stdout == []
    assert "imported" in dev_result.stderr
    assert "hello you" in dev_result.stderr


async def test_dev_with_a_module_that_does_not_exist_fails(tmp_path: Path) -> None:
    """The error says that the executor did not start."""
    result = await run("dev", "nonsense:executor", *ANY_PORTS, cwd=tmp_path)

    assert result.exit_code == 1
    assert result.stdout == []
    assert re.search(
        r"\nError: The executor ended with exit code \d+ before it was ready\.\n$", result.stderr
    )


async def test_demo_on_the_embedded_broker_shows_the_three_states() -> None:
    """They are in order, the last one has both times, and the exit code is 0."""
    result = await run("demo")

    assert_three_states(result)
    assert "embedded broker" in result.stdout[0]


async def test_demo_on_apache_kafka_shows_the_three_states(apache: Cluster, topic: str) -> None:
    """The environment names the Kafka, which replaces the embedded broker."""
    result = await run("demo", environment=apache.environment(topic))

    assert_three_states(result)
    assert apache.bootstrap_servers in result.stdout[0]


def assert_three_states(result: Result) -> None:
    """Asserts that the demo printed the three states in order and succeeded."""
    states = r" s  (NotStarted|InProgress|Completed|Failed|Cancelled)\b"
    seen = [found[1] for line in result.stdout if (found := re.search(states, line))]
    assert seen == ["NotStarted", "InProgress", "Completed"], result
    assert re.search(r"startTimeUtc=\S+ endTimeUtc=\S+", result.stdout[-1])
    assert result.exit_code == 0
