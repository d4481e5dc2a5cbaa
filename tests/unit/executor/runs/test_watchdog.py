"""The watchdog of the event loop."""

import asyncio
import ctypes
import itertools
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any

import pytest

from fabric_jobs.executor import Job
from fabric_jobs.executor.runs import watchdog
from fabric_jobs.executor.runs.watchdog import MAX_MISSED_TICKS, watch_event_loop
from tests.support.captured_logs import lines_with_stacks
from tests.support.executor_runs import connect_runs, start_run
from tests.support.fake_facade import WAIT_TIMEOUT_S, FakeFacade

#: Seconds between two ticks in these tests.
TICK_S = 0.05
#: Seconds after which a blocked loop is certainly detected.
BLOCKED_S = 2 * (MAX_MISSED_TICKS + 2) * TICK_S

#: Blocks its loop from the line that it prints until a tenth of a second after the line that it
#: reads. Its watchdog warns after 4 ticks of 0.2 seconds.
BLOCKING_PROGRAM = """
import asyncio, logging, sys, time
from fabric_jobs.executor.runs import watchdog

async def main():
    async with watchdog.watch_event_loop():
        print("blocking", flush=True)
        sys.stdin.readline()
        time.sleep(0.1)
        await asyncio.sleep(0.2)

logging.basicConfig()
watchdog.TICK_S = 0.2
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
        return [one for one in lines_with_stacks(caplog) if one.startswith("job a attempt 1, ")]

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


def compute() -> None:
    """Computes in a call that holds the interpreter's lock."""
    count = 1_000_000
    begin = time.monotonic()
    sum(itertools.repeat(1, count))
    per_second = count / (time.monotonic() - begin)
    sum(itertools.repeat(1, int(2 * BLOCKED_S * per_second)))


def wait() -> None:
    """Waits in a call that holds the interpreter's lock, without use of the CPU."""
    ctypes.PyDLL(None).usleep(int(BLOCKED_S * 1_000_000))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count no switches of a thread")
@pytest.mark.parametrize("hold_lock", [compute, wait])
async def test_watchdog_when_a_handler_held_the_interpreters_lock_logs_it_afterwards(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture, hold_lock: Callable[[], None]
) -> None:
    """The warning has the stacks of the handlers, and the cure."""

    def holding(job: Job[Any]) -> None:
        hold_lock()
        may_end.wait(WAIT_TIMEOUT_S)  # the line after the call

    def warnings() -> list[str]:
        return [one for one in lines_with_stacks(caplog) if "stood still" in one]

    may_end = threading.Event()
    async with watch_event_loop(), connect_runs(facade, holding) as runs:
        start_run(runs, "a")
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            while not warnings():
                await asyncio.sleep(0.01)
        may_end.set()
        await facade.wait_until(lambda: facade.reports)

    assert "job a attempt 1:" in warnings()[0]
    assert "in holding" in warnings()[0]
    assert "_bootstrap" not in warnings()[0]
    assert 'run_in="process"' in warnings()[0]


async def test_watchdog_when_a_blocked_process_is_stopped_does_not_count_the_stop() -> None:
    """The stop lasts longer than the limit, but the watchdog's thread is stopped as well."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BLOCKING_PROGRAM), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert program.stdin
    assert program.stdout
    await program.stdout.readline()
    await asyncio.sleep(0.3)  # so the watchdog waits for an answer of the loop when it is stopped
    program.send_signal(signal.SIGSTOP)
    program.stdin.write(b"\n")
    await asyncio.sleep(1)
    program.send_signal(signal.SIGCONT)
    _, log = await program.communicate()

    assert (program.returncode, log) == (0, b"")
