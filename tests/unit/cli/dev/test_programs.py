"""A child process: its ready line, its output and its end."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from fabric_jobs.cli.dev.programs import Program, parse_ready_line
from fabric_jobs.cli.errors import CommandError
from tests.support.processes import await_gone, is_running

READY = "print('stand_in ready port=1 url=http://x/?a=b')"
WAIT = "import time; time.sleep(60)"


class StandIn:
    """A program with the lines that a test writes, and its log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "log"

    def write(self, *lines: str) -> None:
        """Writes the program."""
        text = "\n".join(textwrap.dedent(line) for line in lines)
        (self._folder / "stand_in.py").write_text(text)

    async def start(self, *lines: str, ready_timeout_s: float = 30) -> Program:
        """Writes the program, and starts it."""
        self.write(*lines)
        with self.log.open("wb") as log:
            return await Program.start(
                "stand_in",
                environ=self.environ,
                log=os.dup(log.fileno()),
                ready_timeout_s=ready_timeout_s,
            )

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which Python finds the program."""
        return {**os.environ, "PYTHONPATH": str(self._folder)}


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """A program that is not written yet."""
    return StandIn(tmp_path)


async def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Polls until the condition is true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_ready_line_is_parsed_into_its_values() -> None:
    """A key ends at the first equals sign."""
    assert parse_ready_line("facade", "facade ready http=http://h:1/w?a=b grpc=h:2\n") == {
        "http": "http://h:1/w?a=b",
        "grpc": "h:2",
    }


@pytest.mark.parametrize("line", ["", "ready", "executor ready pool=p", "facade is ready", "x"])
def test_other_line_is_no_ready_line(line: str) -> None:
    """A handler may print any line."""
    assert parse_ready_line("facade", line) is None


async def test_start_returns_after_the_ready_line_and_logs_all_other_lines(
    stand_in: StandIn,
) -> None:
    """Lines before and after the ready line are logged."""
    program = await stand_in.start("print('before')", READY, "print('after')", WAIT)
    await wait_until(lambda: "after" in stand_in.log.read_text())
    await program.stop()

    assert program.ready == {"port": "1", "url": "http://x/?a=b"}
    assert stand_in.log.read_text() == "before\nafter\n"
    assert await program.wait() == "The stand_in was ended by SIGTERM"


async def test_start_of_a_program_that_ends_raises_an_error_with_its_exit_code(
    stand_in: StandIn,
) -> None:
    """The error comes at once, not after the timeout."""
    with pytest.raises(CommandError, match="stand_in ended with exit code 3 before it was ready"):
        await stand_in.start("raise SystemExit(3)")


async def test_start_of_a_program_that_is_never_ready_stops_it(
    stand_in: StandIn, tmp_path: Path
) -> None:
    """No process is left after the timeout."""
    pid_file = tmp_path / "pid"
    lines = (f"import os; open({str(pid_file)!r}, 'w').write(str(os.getpid()))", WAIT)
    with pytest.raises(CommandError, match="stand_in was not ready within 1 s"):
        await stand_in.start(*lines, ready_timeout_s=1)

    assert not is_running(int(pid_file.read_text()))


async def test_stop_of_a_program_that_ignores_sigterm_kills_it(stand_in: StandIn) -> None:
    """SIGKILL follows after the timeout."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = await stand_in.start(ignore, READY, WAIT)
    await program.stop(timeout_s=0.1)

    assert await program.wait() == "The stand_in was ended by SIGKILL"


async def test_stop_that_is_cancelled_kills_the_program(stand_in: StandIn) -> None:
    """A second Ctrl-C cancels the stop, and leaves no process."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = await stand_in.start(ignore, READY, WAIT)
    stopping = asyncio.create_task(program.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert await program.wait() == "The stand_in was ended by SIGKILL"


async def test_wait_returns_although_a_grandchild_holds_the_output_open(
    stand_in: StandIn, tmp_path: Path
) -> None:
    """A handler can start a process that outlives the executor."""
    pid_file = tmp_path / "pid"
    program = await stand_in.start(
        "import subprocess",
        "grandchild = subprocess.Popen(['sleep', '60'])",
        f"open({str(pid_file)!r}, 'w').write(str(grandchild.pid))",
        READY,
    )
    try:
        async with asyncio.timeout(10):
            assert await program.wait() == "The stand_in ended with exit code 0"
            await program.stop()
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_program_whose_parent_is_killed_dies(stand_in: StandIn, tmp_path: Path) -> None:
    """After kill -9 the parent stops no program, so the kernel does."""
    pid_file = tmp_path / "pid"
    write_pid = f"import os; open({str(pid_file)!r}, 'w').write(str(os.getpid()))"
    stand_in.write(write_pid, READY, WAIT)
    parent = """
        import asyncio, os
        from fabric_jobs.cli.dev.programs import Program

        async def main():
            await Program.start("stand_in", environ=os.environ)
            print("started", flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent)],
        env=stand_in.environ,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        child = int(pid_file.read_text())
        assert is_running(child)
        process.kill()

    await await_gone(child)
