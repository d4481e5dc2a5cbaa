"""Redis, PostgreSQL and Temporal as processes on loopback, each in its own folder."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.machine import found_program
from tests.support.apache_kafka import reserve_port

START_S = 30.0


def no_redis() -> str | None:
    """Why this machine can't run Redis, or None."""
    return (
        None if found_program("redis-server") else "no redis-server: apt-get install redis-server"
    )


def no_postgres() -> str | None:
    """Why this machine can't run PostgreSQL, or None."""
    return None if found_program("initdb") else "no PostgreSQL: apt-get install postgresql"


def no_temporal() -> str | None:
    """Why this machine can't run Temporal, or None."""
    if found_program("temporal"):
        return None
    return "no temporal: go install github.com/temporalio/cli/cmd/temporal@v1.5.1"


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str]:
    """Run Redis with every write on disk; its address."""
    folder.mkdir()
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), *options]
        async with _server([*command, "--dir", str(folder)], port):
            yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[str]:
    """Run PostgreSQL by its defaults, with every commit on disk; its connection string."""
    folder.mkdir()
    as_owner: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; Debian's package creates a user for it.
        shutil.chown(folder, "postgres")
        for parent in (folder.parent, folder.parent.parent):
            parent.chmod(0o711)
        as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = str(folder / "data")
    initdb, server = found_program("initdb"), found_program("postgres")
    assert initdb
    assert server
    made = [*as_owner, initdb, "-D", data, "-U", "bench", "-A", "trust"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        command = [*as_owner, server, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", ""]
        async with _server(command, port):
            ready = [found_program("pg_isready") or "pg_isready", "-q", "-h", "127.0.0.1"]
            # It listens before it answers.
            async with asyncio.timeout(START_S):
                while await _exit_code(*ready, "-p", str(port)):
                    await asyncio.sleep(0.05)
            yield f"postgresql://bench@127.0.0.1:{port}/postgres"


@asynccontextmanager
async def temporal(folder: Path) -> AsyncIterator[str]:
    """Run Temporal's development server, which stores its data in SQLite; its address."""
    folder.mkdir()
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        options = ["--ip", "127.0.0.1", "--port", str(port), "--headless", "--log-level", "error"]
        command = ["temporal", "server", "start-dev", *options]
        async with _server([*command, "--db-filename", str(folder / "temporal.db")], port):
            yield f"127.0.0.1:{port}"


@asynccontextmanager
async def _server(command: list[str], port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        async with asyncio.timeout(START_S):
            while not await _listens(port):
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            # SIGINT is PostgreSQL's fast stop, and ends the other servers too.
            process.send_signal(2)
            await process.wait()


async def _exit_code(*command: str) -> int:
    return await (await asyncio.create_subprocess_exec(*command)).wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
