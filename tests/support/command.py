"""The command `fabric-jobs`, run as a process of its own."""

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
DEADLINE_S = 60
ANY_PORTS = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--issuer", "127.0.0.1:0")
#: No Kafka of the tests' own environment, unless a test names one.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("FABRIC_JOBS_")}


class Ended(NamedTuple):
    """What a command left."""

    exit_code: int
    stdout: list[str]
    stderr: str


class Command(Struct):
    """A running `fabric-jobs`."""

    process: Process
    #: A file: a pipe that nobody reads would fill, and stop it.
    log: IO[bytes]

    def log_so_far(self) -> bytes:
        """What it has written to stderr."""
        return os.pread(self.log.fileno(), 1 << 20, 0)

    async def until_told(self, text: str, times: int = 1) -> None:
        """Returns once it has written the text so often to stderr."""
        async with asyncio.timeout(DEADLINE_S):
            while self.log_so_far().decode().count(text) < times:
                await asyncio.sleep(0.02)

    async def end(self) -> Ended:
        """What it leaves, once it has ended."""
        async with asyncio.timeout(DEADLINE_S):
            stdout, _ = await self.process.communicate()
        assert self.process.returncode is not None
        self.log.seek(0)
        return Ended(
            self.process.returncode, stdout.decode().splitlines(), self.log.read().decode()
        )


@asynccontextmanager
async def started(
    *arguments: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    terminal: int | None = None,
) -> AsyncIterator[Command]:
    """`fabric-jobs`, until the end of the block; `terminal` is its stderr instead of the log."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=cwd,
            env={**ENVIRONMENT, **(environment or {})},
            stdout=PIPE,
            stderr=terminal or log,
            # As a shell does, so that Ctrl-C can be sent to the whole group.
            start_new_session=True,
        )
        try:
            yield Command(process, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            # pytest shows it beside a failure.
            log.seek(0)
            print(log.read().decode())


async def run(
    *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Ended:
    """`fabric-jobs`, from its start to its end."""
    async with started(*arguments, cwd=cwd, environment=environment) as command:
        return await command.end()


class Dev(Struct):
    """`fabric-jobs dev`, ready."""

    command: Command
    ready: dict[str, str]

    @property
    def process(self) -> Process:
        """The process itself."""
        return self.command.process

    @property
    def addresses(self) -> tuple[str, ...]:
        """The options that name it."""
        return (
            *("--http", self.ready["http"]),
            *("--grpc", self.ready["grpc"]),
            *("--authority", self.ready["authority"]),
        )

    async def submit(self, *arguments: str) -> Ended:
        """`fabric-jobs submit`, sent there."""
        return await run("submit", *arguments, *self.addresses)

    def child(self, name: str) -> int:
        """The process id of one of its programs."""
        module = f"-m fabric_jobs.{name}"
        (found,) = (pid for pid, command in children(self.process.pid) if module in command)
        return found


@asynccontextmanager
async def dev(*arguments: str, cwd: Path | None = None) -> AsyncIterator[Dev]:
    """`fabric-jobs dev` on free ports, from its ready line on."""
    async with started("dev", *arguments, *ANY_PORTS, cwd=cwd) as command:
        yield await ready(command)


async def ready(command: Command) -> Dev:
    """`fabric-jobs dev`, once it says that it is ready."""
    assert command.process.stdout
    async with asyncio.timeout(DEADLINE_S):
        line = (await command.process.stdout.readline()).decode()
    assert line.startswith("ready "), f"{line}{(await command.end()).stderr}"
    return Dev(command, dict(word.split("=", 1) for word in line.split()[1:]))


def children(parent: int) -> list[tuple[int, str]]:
    """The ids and commands of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state != "Z":
                words = stat.with_name("cmdline").read_text().split("\0")
                found.append((int(stat.parent.name), " ".join(words)))
    return found
