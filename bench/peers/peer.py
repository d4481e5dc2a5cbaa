"""A peer: its server, its HTTP and its worker, as programs of the peers' environment."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.ground import SLOTS
from bench.machine import PEERS
from bench.peers import river_build, servers
from bench.work import run
from tests.support.programs import Program, program

PYTHON = str(PEERS.absolute() / "bin" / "python")


class Side(NamedTuple):
    """A running service to be measured."""

    #: The URL of its jobs, without their ids.
    url: str
    #: Its processes without the server that stores its data.
    pids: list[int]
    #: What to do after the warm-up.
    settle: Callable[[], Awaitable[object]] | None = None


class Peer(NamedTuple):
    """The programs of a peer."""

    name: str
    #: Arguments of the program, which is Python unless `build` makes another.
    web: tuple[str, ...]
    worker: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    settle: tuple[str, ...] = ()
    server: Callable[[Path], AbstractAsyncContextManager[str]] | None = None
    #: The maximum of lives per round, because a slow peer would take minutes for more.
    most_lives: int = 1_000_000
    #: Returns what the machine lacks, or None.
    missing: Callable[[], str | None] = lambda: None
    #: Builds the program in the peers' folder, and returns its path.
    build: Callable[[Path], str] | None = None

    def why_unavailable(self) -> str | None:
        """Why the peer can't be measured on this machine, or None."""
        if not Path(PYTHON).exists():
            return "the peers are not installed: make .venv-bench/ready"
        return self.missing()

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Side]:
        """Run the peer until the end of the block."""
        command_path = self.build(PEERS) if self.build else PYTHON
        environment = {"BENCH_SLOTS": str(SLOTS), "PYTHONPATH": os.getcwd()}
        async with AsyncExitStack() as stack:
            if self.server:
                backend = await stack.enter_async_context(self.server(folder / self.name))
                environment["BENCH_BACKEND"] = backend
            if self.prepare:
                await run(command_path, *self.prepare, environment=environment)
            log = stack.enter_context((folder / f"{self.name}.log").open("wb"))

            async def start(arguments: tuple[str, ...]) -> Program:
                command = program(command_path, *arguments, environment=environment, stderr=log)
                return await stack.enter_async_context(command)

            web = await start(self.web)
            pids = [web.process.pid]
            if self.worker:
                pids.append((await start(self.worker)).process.pid)
            settle = partial(run, command_path, *self.settle, environment=environment)
            yield Side(web.ready["url"], pids, settle if self.settle else None)


IN_PROCESS = Peer("in_process", ("-m", "bench.peers.in_process"))
SAQ = Peer(
    "saq",
    ("-m", "bench.peers.saq_web"),
    ("-m", "saq", "bench.peers.saq_jobs.settings"),
    server=servers.redis,
    missing=servers.no_redis,
)
CELERY = Peer(
    "celery",
    ("-m", "bench.peers.celery_web"),
    ("-m", "celery", "-q", "-A", "bench.peers.celery_jobs:app", "worker", "-l", "ERROR"),
    server=servers.redis,
    missing=servers.no_redis,
)
PROCRASTINATE = Peer(
    "procrastinate",
    ("-m", "bench.peers.procrastinate_web"),
    ("-m", "bench.peers.procrastinate_jobs"),
    ("-m", "bench.peers.procrastinate_jobs", "schema"),
    ("-m", "bench.peers.procrastinate_jobs", "analyse"),
    server=servers.postgres,
    missing=servers.no_postgres,
)
RIVER = Peer(
    "river",
    ("web",),
    ("worker",),
    ("migrate",),
    ("analyse",),
    server=servers.postgres,
    missing=lambda: servers.no_postgres() or river_build.why_unavailable(),
    build=river_build.build,
)
DBOS = Peer(
    "dbos",
    ("-m", "bench.peers.dbos_web"),
    ("-m", "bench.peers.dbos_jobs"),
    ("-m", "bench.peers.dbos_jobs", "schema"),
    ("-m", "bench.peers.dbos_jobs", "analyse"),
    server=servers.postgres,
    missing=servers.no_postgres,
)
TEMPORAL = Peer(
    "temporal",
    ("-m", "bench.peers.temporal_web"),
    ("-m", "bench.peers.temporal_jobs"),
    server=servers.temporal,
    most_lives=500,
    missing=servers.no_temporal,
)
