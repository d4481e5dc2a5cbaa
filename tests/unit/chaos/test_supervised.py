"""A program that is killed, paused, stopped, or ends by itself."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos.supervised import Supervised

WELL = "import time; print('program ready at=here', flush=True); time.sleep(60)"
ENDS = "print('program ready at=here', flush=True); raise SystemExit(3)"
TERMINATES = (
    "import signal, sys, threading; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); "
    "print('program ready at=here', flush=True); threading.Event().wait()"
)


@asynccontextmanager
async def supervised(folder: Path, source: str) -> AsyncIterator[Supervised]:
    """A program, kept running to the end of the block."""
    program = Supervised("it", (sys.executable, "-c", source), folder / "log")
    async with asyncio.timeout(60), program.supervised():
        yield program


async def test_a_killed_program_is_started_again_and_nobody_complains(tmp_path: Path) -> None:
    """Not before the fault is over; its second process is remembered, too."""
    async with supervised(tmp_path, WELL) as program:
        async with program.down():
            assert len(program.processes) == 1
        await program.ready()

        assert len(program.processes) == 2
        assert program.complaints == []


async def test_a_program_that_ends_by_itself_is_complained_of(tmp_path: Path) -> None:
    """With its exit code; it is started again all the same."""
    async with supervised(tmp_path, ENDS) as program:
        while len(program.complaints) < 2:
            await asyncio.sleep(0.01)

    assert program.complaints[0] == "it ended by itself, with 3"


async def test_a_program_that_ends_well_at_sigterm_is_not_complained_of(tmp_path: Path) -> None:
    """And one that does not is."""
    async with supervised(tmp_path, TERMINATES) as good:
        await good.terminate()
    async with supervised(tmp_path, WELL) as bad:
        await bad.terminate()

    assert good.complaints == []
    assert bad.complaints == ["it ended at SIGTERM with -15"]


async def test_a_program_that_does_not_become_ready_is_complained_of(tmp_path: Path) -> None:
    """Its ready line is missing."""
    async with supervised(tmp_path, "pass") as program:
        while not program.complaints:
            await asyncio.sleep(0.01)

    assert program.complaints[0].startswith("it did not become ready")
