"""The system under test: three brokers, two facades, three executors, and the paths between."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.chaos.handlers import DRAIN_S, JOURNAL
from tests.chaos.proxy import Proxy
from tests.chaos.supervised import Supervised
from tests.support.apache_kafka import ApacheKafka, reserve_port
from tests.support.brokers import Cluster as Brokers

TOPIC = "chaos.jobs.events"
HANDLERS = "tests.chaos.handlers:executor"
BROKERS = 3
FACADES = 2
EXECUTORS = 3
PARTITIONS = 6
#: Seconds of a lease, short so that a fault can be longer than a lease.
LEASE_S = 4.0
SHARED = {
    "FABRIC_JOBS_LEASE_S": str(LEASE_S),
    "FABRIC_JOBS_HEARTBEAT_S": "0.5",
    "FABRIC_JOBS_UNREADY_S": "1",
    "FABRIC_JOBS_DRAIN_S": str(DRAIN_S),
    "FABRIC_JOBS_SLOTS": "20",
    "FABRIC_JOBS_POOL": "chaos",
    "FABRIC_JOBS_AUTHENTICATION": "off",
    "FABRIC_JOBS_CREATE_TOPICS": "true",
    "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
}


class AssumptionError(Exception):
    """A part of the suite failed, such as a broker that doesn't start. This is no finding."""


class Facade(NamedTuple):
    """A facade replica, its URL, and the folder of its state."""

    program: Supervised
    url: str
    state_dir: Path


class Executor(NamedTuple):
    """An executor, its proxied paths to the facades, and the journal of its runs."""

    program: Supervised
    paths: list[Proxy]
    journal: Path


class Cluster:
    """Brokers, facades, executors and paths in one folder. A program that ends is restarted."""

    def __init__(self, folder: Path) -> None:
        self.kafka = ApacheKafka(folder / "kafka", brokers=BROKERS)
        self._folder = folder
        brokers = Brokers(self.kafka.bootstrap_servers, APACHE)
        self._environment = brokers.environment(TOPIC) | SHARED
        self.facades: list[Facade] = []
        self.executors: list[Executor] = []

    @property
    def programs(self) -> list[Supervised]:
        """The facades and the executors."""
        return [*(one.program for one in self.facades), *(one.program for one in self.executors)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        """The cluster, ready, until the end of the block."""
        try:
            await asyncio.to_thread(self.kafka.start)
        except RuntimeError as error:
            raise AssumptionError(str(error)) from error
        async with AsyncExitStack() as stack:
            stack.callback(self.kafka.stop)
            addresses = [stack.enter_context(_two_addresses()) for _ in range(FACADES)]
            for number, (http, grpc) in enumerate(addresses):
                self.facades.append(self._facade(number, http, grpc))
            for number in range(EXECUTORS):
                paths = [
                    await stack.enter_async_context(Proxy(grpc).running()) for _, grpc in addresses
                ]
                self.executors.append(self._executor(number, paths))
            for program in self.programs:
                await stack.enter_async_context(program.supervised())
            for program in self.programs:
                await program.ready()
            yield self

    async def restart_brokers(self, *nodes: int) -> None:
        """Restart brokers and return once they answer. Raises `AssumptionError`."""
        try:
            await asyncio.to_thread(self.kafka.restart, *nodes)
        except RuntimeError as error:
            raise AssumptionError(str(error)) from error

    async def retire(self) -> None:
        """Stop the programs for good, executors first; the brokers keep running."""
        for group in (self.executors, self.facades):
            await asyncio.gather(*(one.program.retire() for one in group))

    def _facade(self, number: int, http: str, grpc: str) -> Facade:
        name = f"facade-{number}"
        state_dir = self._folder / name
        state_dir.mkdir()
        program = Supervised(
            name,
            (sys.executable, "-m", "fabric_jobs.facade"),
            self._folder / f"{name}.log",
            FABRIC_JOBS_HTTP_ADDRESS=http,
            FABRIC_JOBS_GRPC_ADDRESS=grpc,
            FABRIC_JOBS_STATE_DIR=str(state_dir),
            **self._environment,
        )
        return Facade(program, f"http://{http}/workload", state_dir)

    def _executor(self, number: int, paths: list[Proxy]) -> Executor:
        name = f"executor-{number}"
        journal = self._folder / f"{name}.journal"
        journal.touch()
        program = Supervised(
            name,
            (sys.executable, "-m", "fabric_jobs.executor", HANDLERS),
            self._folder / f"{name}.log",
            FABRIC_JOBS_FACADES=",".join(path.address for path in paths),
            FABRIC_JOBS_EXECUTOR_NAME=name,
            **{JOURNAL: str(journal)},
            **self._environment,
        )
        return Executor(program, paths, journal)


@contextmanager
def _two_addresses() -> Iterator[tuple[str, str]]:
    """Two loopback addresses that stay reserved while their program is down."""
    with reserve_port() as one, reserve_port() as two:
        yield _address(one.getsockname()), _address(two.getsockname())


def _address(name: tuple[str, int]) -> str:
    host, port = name
    return f"{host}:{port}"
