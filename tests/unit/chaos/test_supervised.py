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


async def test_program_killed_by_the_chaos_run_is_restarted_without_complaint(
    tmp_path: Path,
) -> None:
    """It is restarted after the fault has ended, and its second process id is kept, too."""
    async with supervised(tmp_path, WELL) as program:
        async with program.down():
            assert len(program.processes) == 1
        await program.ready()

        assert len(program.processes) == 2
        assert program.complaints == []


async def test_program_that_ends_by_itself_is_restarted_with_a_complaint(tmp_path: Path) -> None:
    """The complaint has the exit code."""
    async with supervised(tmp_path, ENDS) as program:
        while len(program.complaints) < 2:
            await asyncio.sleep(0.01)

    assert program.complaints[0] == "it ended by itself, with 3"


async def test_program_at_sigterm_is_complained_of_only_with_a_bad_exit_code(
    tmp_path: Path,
) -> None:
    """The first program exits with code 0, the second does not."""
    async with supervised(tmp_path, TERMINATES) as good:
        await good.terminate()
    async with supervised(tmp_path, WELL) as bad:
        await bad.terminate()

    assert good.complaints == []
    assert bad.complaints == ["it ended at SIGTERM with -15"]


async def test_program_without_ready_line_is_complained_of(tmp_path: Path) -> None:
    """The program ends before it prints its ready line."""
    async with supervised(tmp_path, "pass") as program:
        while not program.complaints:
            await asyncio.sleep(0.01)

    assert program.complaints[0].startswith("it did not become ready")


async def test_program_that_is_allowed_to_end_is_restarted_without_complaint(
    tmp_path: Path,
) -> None:
    """An end after that is a complaint again."""
    async with supervised(tmp_path, ENDS) as program:
        with program.allowed_to_end():
            while len(program.complaints) < 2:
                await asyncio.sleep(0.01)
        assert program.complaints == []

        while not program.complaints:
            await asyncio.sleep(0.01)


async def test_lines_of_a_programs_log_are_found_by_their_text(tmp_path: Path) -> None:
    """The log has the lines of all of its processes."""
    source = f"import sys; print('the log is forked', file=sys.stderr, flush=True); {WELL}"
    async with supervised(tmp_path, source) as program:
        await program.ready()
        async with program.down():
            pass
        await program.ready()

        assert program.logged("is forked") == ["the log is forked"] * 2
        assert program.logged("is well") == []
