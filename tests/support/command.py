"""Runs the command `fabric-jobs` as a process."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from msgspec import Struct

COMMAND = str(Path(sys.executable).with_name("fabric-jobs"))
TIMEOUT_S = 60
ANY_PORTS = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--issuer", "127.0.0.1:0")
#: The environment of the tests without settings, so that only a test's own settings apply.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("FABRIC_JOBS_")}


class Result(NamedTuple):
    """The exit code and the output of a command."""

    exit_code: int
    stdout: list[str]
    stderr: str


class Command(Struct):
    """A running `fabric-jobs`."""

    process: Process
    #: stderr, in a file: a pipe that no test reads would fill, and block the process.
    log: IO[bytes]

    def read_log(self) -> str:
        """Returns what the process has written to stderr."""
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    async def wait_for_log(self, text: str, times: int = 1) -> None:
        """Returns once the text is on stderr at least so many times."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.read_log().count(text) < times:
                await asyncio.sleep(0.02)

    async def wait(self) -> Result:
        """Waits until the process ends, and returns its result."""
        async with asyncio.timeout(TIMEOUT_S):
            stdout, _ = await self.process.communicate()
        assert self.process.returncode is not None
        self.log.seek(0)
        return Result(
            self.process.returncode, stdout.decode().splitlines(), self.log.read().decode()
        )


@asynccontextmanager
async def start(
    *arguments: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    terminal: int | None = None,
    command: str = COMMAND,
) -> AsyncIterator[Command]:
    """Runs `fabric-jobs` until the end of the block. `terminal` replaces the log as its stderr."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            command,
            *arguments,
            cwd=cwd,
            env={**ENVIRONMENT, **(environment or {})},
            stdout=PIPE,
            stderr=terminal or log,
            # As in a shell, the process leads a group, which a test can send Ctrl-C to.
            start_new_session=True,
        )
        try:
            yield Command(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            # pytest shows this beside a failure.
            log.seek(0)
            print(log.read().decode())


async def run(
    *arguments: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command: str = COMMAND,
) -> Result:
    """Runs `fabric-jobs` to its end, and returns its result."""
    started = start(*arguments, cwd=cwd, environment=environment, command=command)
    async with started as process:
        return await process.wait()


class Dev(Struct):
    """A running `fabric-jobs dev` that is ready."""

    command: Command
    #: The values of its ready line.
    ready: dict[str, str]

    @property
    def process(self) -> Process:
        """The process of the command."""
        return self.command.process

    @property
    def addresses(self) -> tuple[str, ...]:
        """The options of other commands that name its addresses."""
        return (
            *("--http", self.ready["http"]),
            *("--grpc", self.ready["grpc"]),
            *("--authority", self.ready["authority"]),
        )

    async def submit(self, *arguments: str) -> Result:
        """Runs `fabric-jobs submit` against its facade."""
        return await run("submit", *arguments, *self.addresses)

    def find_child(self, name: str) -> int:
        """Returns the process id of its facade or its executor."""
        module = f"-m fabric_jobs.{name}"
        (found,) = (pid for pid, command in children(self.process.pid) if module in command)
        return found


@asynccontextmanager
async def dev(*arguments: str, cwd: Path | None = None) -> AsyncIterator[Dev]:
    """Runs `fabric-jobs dev` on free ports from its ready line to the end of the block."""
    async with start("dev", *arguments, *ANY_PORTS, cwd=cwd) as command:
        yield await wait_until_ready(command)


async def wait_until_ready(command: Command) -> Dev:
    """Waits for the ready line of `fabric-jobs dev`."""
    assert command.process.stdout
    async with asyncio.timeout(TIMEOUT_S):
        line = (await command.process.stdout.readline()).decode()
    assert line.startswith("ready "), f"{line}{(await command.wait()).stderr}"
    return Dev(command, dict(word.split("=", 1) for word in line.split()[1:]))


def children(parent: int) -> list[tuple[int, str]]:
    """Returns the ids and the commands of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state != "Z":
                words = stat.with_name("cmdline").read_text().split("\0")
                found.append((int(stat.parent.name), " ".join(words)))
    return found
