"""The watchdog of the event loop."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from fabric_jobs.executor import Job, watchdog
from fabric_jobs.executor.watchdog import MAX_MISSED_TICKS, watch_event_loop
from tests.support.executor_runs import connect_runs, start_run
from tests.support.fake_facade import FakeFacade

#: Seconds between two ticks in these tests.
TICK_S = 0.05
#: Seconds after which a blocked loop is certainly detected.
BLOCKED_S = 2 * (MAX_MISSED_TICKS + 2) * TICK_S

#: Watches a loop that runs until a line arrives on stdin, and some ticks longer.
WATCHED_PROGRAM = f"""
import asyncio, logging, sys
from fabric_jobs.executor import watchdog

async def main():
    async with watchdog.watch_event_loop():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep({4 * TICK_S})

logging.basicConfig()
watchdog.TICK_S = {TICK_S}
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "TICK_S", TICK_S)


async def test_watchdog_when_a_handler_blocks_the_loop_names_it_once_each_time(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning has the job, the line that blocks, and the cure."""

    def warnings() -> list[str]:
        return [message for message in caplog.messages if message.startswith("job a attempt 1, ")]

    async def blocking(job: Job[Any]) -> None:
        for number in (1, 2):
            while len(warnings()) < number:
                time.sleep(0.01)  # the line that blocks
            time.sleep((MAX_MISSED_TICKS + 1) * TICK_S)
            await asyncio.sleep(2 * TICK_S)

    async with watch_event_loop(), connect_runs(facade, blocking) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)

    assert len(warnings()) == 2
    for message in warnings():
        assert "blocking blocks the event loop" in message
        assert "asyncio.to_thread" in message
        assert "time.sleep(0.01)  # the line that blocks" in message
        assert "asyncio/" not in message


async def test_watchdog_when_a_handler_awaits_logs_nothing(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that does not block the loop may wait as long as it likes."""

    async def patient(job: Job[Any]) -> None:
        await asyncio.sleep(BLOCKED_S)

    async with watch_event_loop(), connect_runs(facade, patient) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)

    assert caplog.messages == []


async def test_watchdog_when_the_process_was_stopped_logs_nothing() -> None:
    """Its loop did not answer, but its watchdog thread was stopped as well."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCHED_PROGRAM), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert program.stdout
    await program.stdout.readline()
    program.send_signal(signal.SIGSTOP)
    await asyncio.sleep(BLOCKED_S)
    program.send_signal(signal.SIGCONT)
    _, log = await program.communicate(b"\n")

    assert (program.returncode, log) == (0, b"")
