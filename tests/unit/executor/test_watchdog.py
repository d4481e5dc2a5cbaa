"""The watch over the event loop."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from fabric_jobs.executor import Job, watchdog
from fabric_jobs.executor.watchdog import watching
from tests.support.fake_facade import FakeFacade
from tests.unit.executor.test_runs import running, start

STOPPED = """
import asyncio, logging, sys
from fabric_jobs.executor.watchdog import watching

async def main():
    async with watching():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep(1)

logging.basicConfig()
asyncio.run(main())
"""


async def test_a_handler_that_blocks_the_loop_is_named_once_a_stall(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its job, the line where it is, and what to do about it."""
    monkeypatch.setattr(watchdog, "TICK_S", 0.05)

    def named() -> list[str]:
        return [message for message in caplog.messages if message.startswith("job a attempt 1, ")]

    async def blocking(job: Job[Any]) -> None:
        for stalls in (1, 2):
            while len(named()) < stalls:
                time.sleep(0.02)  # the line that is named
            time.sleep(0.5)
            await asyncio.sleep(0.1)

    async with watching(), running(facade, blocking) as runs:
        start(runs, "a")
        await facade.until(lambda: facade.reports)

    assert len(named()) == 2
    for message in named():
        assert "blocking blocks the event loop" in message
        assert "asyncio.to_thread" in message
        assert "time.sleep(0.02)  # the line that is named" in message
        assert "asyncio/" not in message


async def test_a_handler_that_awaits_is_accused_of_nothing(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """However long it takes."""

    async def patient(job: Job[Any]) -> None:
        await asyncio.sleep(1.5)

    async with watching(), running(facade, patient) as runs:
        start(runs, "a")
        await facade.until(lambda: facade.reports)

    assert caplog.messages == []


async def test_a_process_that_was_stopped_is_accused_of_nothing() -> None:
    """Its loop stood still, and so did everything else in it."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STOPPED), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert program.stdout
    await program.stdout.readline()
    program.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2)
    program.send_signal(signal.SIGCONT)
    _, log = await program.communicate(b"\n")

    assert (program.returncode, log) == (0, b"")
