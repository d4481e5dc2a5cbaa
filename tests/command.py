"""The command `fabric-jobs`, run as a process of its own."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, NamedTuple

from msgspec import Struct

COMMAND = str(Path(sys.executable).with_name("fabric-jobs"))
DEADLINE_S = 60
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
