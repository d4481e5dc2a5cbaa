"""The wall clock of a program that the chaos run started."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.clock import Clock, why_unavailable
from tests.support.requirements import missing

SHOW = "import time; print(time.time(), time.monotonic())"


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock, where the machine can step one."""
    if reason := why_unavailable():
        missing("libfaketime", reason)
    return Clock(tmp_path / "clock")


def read(clock: Clock) -> tuple[float, float]:
    """The wall clock and the monotonic clock of a new program."""
    said = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=os.environ | clock.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wall, monotonic = said.split()
    return float(wall), float(monotonic)


def test_stepped_clock_moves_the_wall_clock_alone(clock: Clock) -> None:
    """Two hours back, and the monotonic clock of the machine."""
    before = read(clock)
    with clock.stepped(-7200):
        stepped = read(clock)
    after = read(clock)

    assert -7200 <= stepped[0] - before[0] < -7100
    assert before[1] <= stepped[1] <= after[1]
    assert 0 <= after[0] - before[0] < 100


async def test_program_that_runs_sees_the_step(clock: Clock) -> None:
    """The program needs no restart, and sees the step within two seconds."""
    # An event is awaited, because libfaketime breaks a sleep during which the clock goes ahead.
    source = (
        "import threading, time\n"
        "while True: print(time.time(), flush=True); threading.Event().wait(0.1)"
    )
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source),
        env=os.environ | clock.environment,
        stdout=subprocess.PIPE,
    )
    assert program.stdout
    try:
        first = float(await program.stdout.readline())
        with clock.stepped(10_000):
            async with asyncio.timeout(30):
                while float(await program.stdout.readline()) < first + 10_000:
                    pass
    finally:
        program.kill()
        await program.wait()
