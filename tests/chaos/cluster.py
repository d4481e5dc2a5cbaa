"""The system under test: three brokers, two facades, three executors, and the paths between."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.chaos.clock import Clock
from tests.chaos.disk import small_disk
from tests.chaos.handlers import DRAIN_S, JOURNAL
from tests.chaos.kafka import BETWEEN_BROKERS, ChaosKafka
from tests.chaos.proxy import Proxy
from tests.chaos.supervised import Supervised
from tests.support.apache_kafka import reserve_port
from tests.support.brokers import Cluster as Brokers

TOPIC = "chaos.jobs.events"
HANDLERS = "tests.chaos.handlers:executor"
HEARTBEATS = f"{TOPIC}.heartbeats"
PARTITIONS = 6
FACADES = 2
EXECUTORS = 3
#: Seconds of a lease, short so that a fault can be longer than a lease.
LEASE_S = 3.0
#: Seconds of a fault that is brief, that outlasts a lease, and that outlasts two.
SHORT_S = 1.5
LONG_S = LEASE_S + 2
SILENT_S = 2 * LEASE_S
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
    """A facade replica, its URL, the folder of its state, its clock, its paths to the brokers."""

    program: Supervised
    url: str
    state_dir: Path
    clock: Clock
    paths: list[Proxy]


class Executor(NamedTuple):
    """An executor, its proxied paths to the facades, and the journal of its runs."""

    program: Supervised
    paths: list[Proxy]
    journal: Path


class Cluster:
    """Brokers, facades, executors and paths in one folder. A program that ends is restarted."""

    def __init__(self, folder: Path, known_bug: str = "") -> None:
        self.kafka = ChaosKafka(folder / "kafka", [_listener(each) for each in range(FACADES)])
        #: The path by which the others reach each broker.
        self.between_brokers: list[Proxy] = []
        self._folder = folder
        self._known_bug = known_bug
        self.facades: list[Facade] = []
        self.executors: list[Executor] = []

    @property
    def programs(self) -> list[Supervised]:
        """The facades and the executors."""
        return [*(one.program for one in self.facades), *(one.program for one in self.executors)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        """The cluster, ready, until the end of the block."""
        async with AsyncExitStack() as stack:
            stack.callback(self.kafka.stop)
            self.between_brokers = await self._lay_paths(BETWEEN_BROKERS, stack)
            addresses = [stack.enter_context(_two_addresses()) for _ in range(FACADES)]
            for number, (http, grpc) in enumerate(addresses):
                paths = await self._lay_paths(_listener(number), stack)
                facade = self._facade(number, http, grpc, paths)
                stack.enter_context(small_disk(facade.state_dir))
                self.facades.append(facade)
            try:
                await asyncio.to_thread(self.kafka.start)
            except RuntimeError as error:
                raise AssumptionError(str(error)) from error
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

    async def _lay_paths(self, listener: str, stack: AsyncExitStack) -> list[Proxy]:
        """A proxy to each broker, which the brokers then name as the listener's addresses."""
        targets = self.kafka.addresses[listener]
        paths = [await stack.enter_async_context(Proxy(one).running()) for one in targets]
        self.kafka.advertised[listener] = [path.address for path in paths]
        return paths

    def _facade(self, number: int, http: str, grpc: str, paths: list[Proxy]) -> Facade:
        name = f"facade-{number}"
        state_dir = self._folder / name
        state_dir.mkdir()
        clock = Clock(self._folder / f"{name}.clock")
        program = Supervised(
            name,
            program_command(self._known_bug, name, "fabric_jobs.facade"),
            self._folder / f"{name}.log",
            FABRIC_JOBS_HTTP_ADDRESS=http,
            FABRIC_JOBS_GRPC_ADDRESS=grpc,
            FABRIC_JOBS_STATE_DIR=str(state_dir),
            **_environment(",".join(path.address for path in paths)),
            **clock.environment,
        )
        return Facade(program, f"http://{http}/workload", state_dir, clock, paths)

    def _executor(self, number: int, paths: list[Proxy]) -> Executor:
        name = f"executor-{number}"
        journal = self._folder / f"{name}.journal"
        journal.touch()
        program = Supervised(
            name,
            program_command(self._known_bug, name, "fabric_jobs.executor", HANDLERS),
            self._folder / f"{name}.log",
            FABRIC_JOBS_FACADES=",".join(path.address for path in paths),
            FABRIC_JOBS_EXECUTOR_NAME=name,
            **{JOURNAL: str(journal)},
            **_environment(self.kafka.bootstrap_servers),
        )
        return Executor(program, paths, journal)


def program_command(known_bug: str, name: str, *program: str) -> tuple[str, ...]:
    """The command of a program, which puts the known bug into the program if there is one."""
    if known_bug:
        program = ("tests.simulation.bug_program", known_bug, name, *program)
    return (sys.executable, "-m", *program)


async def a_while(dice: Random) -> None:
    """Wait for less than a lease, or for more."""
    await asyncio.sleep(dice.choice([SHORT_S, LONG_S]))


def _listener(facade: int) -> str:
    """The brokers' listener for one facade."""
    return f"FACADE{facade}"


def _environment(bootstrap_servers: str) -> dict[str, str]:
    return Brokers(bootstrap_servers, APACHE).environment(TOPIC) | SHARED


@contextmanager
def _two_addresses() -> Iterator[tuple[str, str]]:
    """Two loopback addresses that stay reserved while their program is down."""
    with reserve_port() as one, reserve_port() as two:
        yield _address(one.getsockname()), _address(two.getsockname())


def _address(name: tuple[str, int]) -> str:
    host, port = name
    return f"{host}:{port}"
