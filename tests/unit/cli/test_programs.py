"""A child program: its ready line, its output, its end."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from fabric_jobs.cli.dev.programs import Program, ready_values
from fabric_jobs.cli.errors import CommandError

READY = "print('stand_in ready port=1 url=http://x/?a=b')"
WAIT = "import time; time.sleep(60)"


class StandIn:
    """A program of a test's own lines, and what it logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "log"

    def write(self, *lines: str) -> None:
        """The program's text."""
        text = "\n".join(textwrap.dedent(line) for line in lines)
        (self._folder / "stand_in.py").write_text(text)

    async def start(self, *lines: str, ready_within_s: float = 30) -> Program:
        """Start it."""
        self.write(*lines)
        with self.log.open("wb") as log:
            return await Program.start(
                "stand_in",
                environ=self.environ,
                log=os.dup(log.fileno()),
                ready_within_s=ready_within_s,
            )

    @property
    def environ(self) -> dict[str, str]:
        """What lets Python find it."""
        return {**os.environ, "PYTHONPATH": str(self._folder)}


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """Nothing yet."""
    return StandIn(tmp_path)


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Wait for what can only be looked at."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether there is such a process that isn't a dead one's remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_ready_line_says_its_values() -> None:
    """Words with an equals sign, up to the first."""
    assert ready_values("facade", "facade ready http=http://h:1/w?a=b grpc=h:2\n") == {
        "http": "http://h:1/w?a=b",
        "grpc": "h:2",
    }


@pytest.mark.parametrize("line", ["", "ready", "executor ready pool=p", "facade is ready", "x"])
def test_another_line_is_no_ready_line(line: str) -> None:
    """A handler may print what it likes."""
    assert ready_values("facade", line) is None


async def test_a_program_has_started_once_its_line_says_so(stand_in: StandIn) -> None:
    """What it prints besides goes to the log, before and after."""
    program = await stand_in.start("print('before')", READY, "print('after')", WAIT)
    await until(lambda: "after" in stand_in.log.read_text())
    await program.stop()

    assert program.ready == {"port": "1", "url": "http://x/?a=b"}
    assert stand_in.log.read_text() == "before\nafter\n"
    assert await program.ended() == "The stand_in was ended by SIGTERM"


async def test_a_program_that_ends_first_is_named_with_its_exit_code(stand_in: StandIn) -> None:
    """A failed start is known at once, and not after the deadline."""
    with pytest.raises(CommandError, match="stand_in ended with exit code 3 before it was ready"):
        await stand_in.start("raise SystemExit(3)")


async def test_a_program_that_is_never_ready_is_stopped(stand_in: StandIn, tmp_path: Path) -> None:
    """The deadline leaves no child behind."""
    pid_file = tmp_path / "pid"
    lines = (f"import os; open({str(pid_file)!r}, 'w').write(str(os.getpid()))", WAIT)
    with pytest.raises(CommandError, match="stand_in was not ready within 1 s"):
        await stand_in.start(*lines, ready_within_s=1)

    assert not runs(int(pid_file.read_text()))


async def test_a_program_that_ignores_sigterm_is_killed(stand_in: StandIn) -> None:
    """The wait for an orderly end is bounded."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = await stand_in.start(ignore, READY, WAIT)
    await program.stop(within_s=0.1)

    assert await program.ended() == "The stand_in was ended by SIGKILL"


async def test_a_stop_that_is_cut_short_kills(stand_in: StandIn) -> None:
    """A second Ctrl-C waits for nothing, and leaves nobody."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = await stand_in.start(ignore, READY, WAIT)
    stopping = asyncio.create_task(program.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert await program.ended() == "The stand_in was ended by SIGKILL"


async def test_an_end_is_seen_though_a_grandchild_holds_the_output(
    stand_in: StandIn, tmp_path: Path
) -> None:
    """A handler may have started what outlives it."""
    pid_file = tmp_path / "pid"
    program = await stand_in.start(
        "import subprocess",
        "grandchild = subprocess.Popen(['sleep', '60'])",
        f"open({str(pid_file)!r}, 'w').write(str(grandchild.pid))",
        READY,
    )
    try:
        async with asyncio.timeout(10):
            assert await program.ended() == "The stand_in ended with exit code 0"
            await program.stop()
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_a_program_dies_with_its_killed_parent(stand_in: StandIn, tmp_path: Path) -> None:
    """kill -9 lets the parent stop nobody: the kernel does."""
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
        assert runs(child)
        process.kill()

    await until(lambda: not runs(child))
