"""One simulated world: its nodes, its cluster and its clients, from a script to evidence."""

import asyncio
import gc
import logging
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import memory, state_file
from tests.simulation import handlers, http, kafka_clients, rpc, state_files
from tests.simulation.faults import HARMLESS, Fault
from tests.simulation.kafka import CONTROLS, EVENTS, HEARTBEATS, Group, KafkaCluster, Stored
from tests.simulation.loop import Place, SimulatedLoop
from tests.simulation.nodes import ExecutorNode, FacadeNode, RecordedStore, WriterThread
from tests.simulation.seams import installed
from tests.simulation.substitutes import CLOCK
from tests.simulation.traffic import Plan, Traffic, make_plan

POOL = "default"
#: Seconds after which the group removes a silent member.
SESSION_TIMEOUT_S = 30.0
#: Seconds for which a fault counts as active at least.
DISTURBED_S = 10.0
#: The same after a leap: what became due meanwhile fires a lease after the nodes are back.
DISTURBED_BY_LEAP_S = 90.0


class Shape(Struct, frozen=True, kw_only=True):
    """The size of a world."""

    facades: int
    executors: int
    partitions: int
    slots: int
    read_ahead: int
    #: Jobs that a store keeps before it writes them.
    max_pending: int
    keeps_files: bool
    #: Seconds of traffic and faults.
    seconds: float
    jobs: int

    @classmethod
    def of(cls, seed: str) -> "Shape":
        """Returns the shape of a seed's world."""
        dice = Random(f"{seed} shape")
        return cls(
            facades=dice.choice([1, 2, 2, 2, 3]),
            executors=dice.choice([1, 2, 2, 3]),
            partitions=dice.choice([1, 2, 4]),
            slots=dice.choice([2, 3, 5, 10]),
            read_ahead=dice.choice([1, 5, 1000]),
            max_pending=dice.choice([1, 3, 20, 5000]),
            keeps_files=dice.random() < 0.8,
            seconds=dice.choice([20.0, 60.0, 120.0]),
            jobs=dice.choice([20, 60, 100]),
        )


class World:
    """The parts of a world while it runs."""

    def __init__(self, seed: str, shape: Shape, folder: Path, jobs: Sequence[int]) -> None:
        self.seed = seed
        self.shape = shape
        self.folder = folder
        self.dice = Random(f"{seed} world")
        self.loop = loop = SimulatedLoop(Random(f"{seed} schedule"))
        self.cluster = KafkaCluster(
            loop,
            Random(f"{seed} kafka"),
            {EVENTS: shape.partitions, HEARTBEATS: 1, CONTROLS: 1},
        )
        self.network = rpc.Network(loop, Random(f"{seed} network"))
        self.plans: list[Plan] = [make_plan(seed, number, shape.seconds) for number in jobs]
        self.facades = [
            FacadeNode(
                loop,
                number,
                folder / f"facade-{number}" if shape.keeps_files else None,
                unready_s=0.5,
                events_partitions=shape.partitions,
            )
            for number in range(shape.facades)
        ]
        addresses = [facade.grpc_address for facade in self.facades]
        self.executors = [
            ExecutorNode(
                loop,
                number,
                addresses[number % len(addresses) :] + addresses[: number % len(addresses)],
                handlers.executor.handlers,
                pool=POOL,
                slots=shape.slots,
                read_ahead_jobs=shape.read_ahead,
                drain_s=2.0,
            )
            for number in range(shape.executors)
        ]
        for node in self.nodes:
            node.on_end = self._bury
        self.traffic = Traffic(seed, self.facades)
        self.group = Group(self.cluster, SESSION_TIMEOUT_S)
        #: The start and end of each time in which facades may not reach the log.
        self.log_away: list[tuple[float, float]] = []
        #: The records of the events topic that an unclean election has lost.
        self.lost_records: list[Stored] = []
        self.http_lost: dict[str, float] = {}
        self.leap_ended = asyncio.Event()
        self.leap_ended.set()
        #: Seconds of all leaps of the script so far.
        self.leaped_s = 0.0
        self.faults = 0
        self.fault_names: set[str] = set()
        #: Whether no fault yet can cost an innocent run its lease.
        self.is_harmless = True
        self.disturbed_until = 0.0

    @property
    def nodes(self) -> "list[FacadeNode | ExecutorNode]":
        return [*self.facades, *self.executors]

    def crash(self, node: "FacadeNode | ExecutorNode", *, silently: bool = False) -> None:
        """Ends a node between two of its steps, as kill -9 does."""
        place = node.place
        if place is None:
            return
        if not node.is_running:
            node.task = None  # It has ended by itself, and would start again after a moment.
            return
        node._stopping = True
        node.task = None
        self._bury(place, silently=silently)

    def _bury(self, place: Place, *, silently: bool = False) -> None:
        """Ends all that a program has left, because its process has ended."""
        self.loop.bury(place)
        self.network.bury(place, silently=silently)
        for store in RecordedStore.by_place.pop(place.number, []):
            store.crash()
        for address, server in list(http.WORLD.servers.items()):
            if server.place is place:
                del http.WORLD.servers[address]
        for consumer in self._consumers_of(place):
            self.cluster.remove_consumer(consumer)
            if consumer.group:
                self.call_later(SESSION_TIMEOUT_S, consumer.group.leave, consumer)

    def _consumers_of(self, place: Place) -> list[Any]:
        return [one for one in self.cluster.consumers if one.place is place]

    def start(self, node: "FacadeNode | ExecutorNode") -> None:
        """Starts a node, unless it runs."""
        if not node.is_running and self.leap_ended.is_set():
            node.start()

    def pause(self, node: "FacadeNode | ExecutorNode", seconds: float) -> None:
        """Stops a node as SIGSTOP does, and lets it go on after so many seconds."""
        place = node.place
        if place is None or not node.is_running or place.paused:
            return
        self.loop.pause(place)
        self.note_log_away(seconds + 2.0)
        self.call_later(seconds, self.loop.resume, place)
        if seconds > rpc.KEEPALIVE_S:
            for call in self.network.calls_of(place):
                self.network.reset(call, rpc.KEEPALIVE_S)
        if seconds > SESSION_TIMEOUT_S:
            for consumer in self._consumers_of(place):
                if consumer.group:
                    self.call_later(SESSION_TIMEOUT_S, consumer.group.leave, consumer)

    def leap(self, seconds: float) -> None:
        """Crashes every node, and starts them again after so many seconds.

        Time costs nothing meanwhile, so this is how most of the simulated hours pass.
        """
        if not self.leap_ended.is_set():
            return
        for node in self.nodes:
            self.crash(node)
        self.leap_ended.clear()
        self.traffic.may_ask.clear()
        self.call_later(seconds, self._end_leap)

    def _end_leap(self) -> None:
        self.disturbed_until = self.loop.time() + DISTURBED_BY_LEAP_S
        self.leap_ended.set()
        self.traffic.may_ask.set()
        for node in self.nodes:
            self.start(node)

    def note_log_away(self, seconds: float) -> None:
        """Notes that facades may not reach the log for so many seconds from now."""
        now = self.loop.time()
        self.log_away.append((now, now + seconds))

    def note_fault(self, fault: Fault) -> None:
        """Notes that a fault begins now."""
        self.faults += 1
        self.fault_names.add(fault.name)
        self.is_harmless &= fault.name in HARMLESS
        self.disturbed_until = max(
            self.disturbed_until, self.loop.time() + max(fault.seconds, DISTURBED_S)
        )

    def is_disturbed(self) -> bool:
        """Returns whether a fault is active, or was a moment ago."""
        return self.loop.time() < self.disturbed_until

    def call_later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """Calls back after some simulated seconds, outside of the nodes."""
        self.loop.call_later(delay_s, callback, *args, context=self.loop.outside)

    def records(self) -> list[Record]:
        """Returns the records of the events topic."""
        return [
            Record(partition.partition, offset, stored.time_ms, stored.value, stored.key)
            for partition, log in sorted(self.cluster.logs.items())
            if partition.topic == EVENTS
            for offset, stored in enumerate(log)
        ]

    def close(self) -> None:
        """Ends what is left of the world."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._close()
                gc.collect()
        finally:
            sys.unraisablehook = hook

    def _close(self) -> None:
        self.loop.close_tasks()
        for stores in RecordedStore.by_place.values():
            for store in stores:
                store.crash()
        RecordedStore.by_place.clear()
        self.loop.close()


@contextmanager
def open_world(
    seed: str, shape: Shape, jobs: Sequence[int] | None, *, logs: bool
) -> Iterator[World]:
    """A world whose product runs in it until the block ends. One world exists at a time.

    With `logs`, the product's warnings are logged.
    """
    folder = Path(tempfile.mkdtemp(prefix="fabric-jobs-simulation-", dir=_fast_folder()))
    gc.disable()  # the collector would close generators at times that no seed decides
    random.seed(f"{seed} product")
    WriterThread.dice = Random(f"{seed} writer")
    CLOCK.dice = Random(f"{seed} ids")
    logger = logging.getLogger("fabric_jobs")
    logger.setLevel(logging.WARNING if logs else logging.CRITICAL + 1)
    world = World(seed, shape, folder, range(shape.jobs) if jobs is None else jobs)
    CLOCK.loop = world.loop
    handlers.JOURNAL.clear()
    kafka_clients.WORLD.cluster = world.cluster
    kafka_clients.WORLD.groups = {POOL: world.group}
    rpc.WORLD.network = world.network
    http.WORLD.loop, http.WORLD.dice = world.loop, Random(f"{seed} http")
    http.WORLD.servers = {}
    http.WORLD.is_lost = lambda name: world.http_lost.get(name, 0.0) > world.loop.time()
    state_files.WORLD.now = world.loop.time
    state_files.WORLD.troubles, state_files.WORLD.full = {}, set()
    before = memory.MAX_PENDING, state_file.MIN_FREE_BYTES
    memory.MAX_PENDING, state_file.MIN_FREE_BYTES = shape.max_pending, 4096
    try:
        with installed():
            yield world
    finally:
        logger.setLevel(logging.CRITICAL + 1)  # the end of the world is no news
        world.close()
        memory.MAX_PENDING, state_file.MIN_FREE_BYTES = before
        CLOCK.loop = None
        logger.setLevel(logging.NOTSET)
        gc.enable()
        shutil.rmtree(folder, ignore_errors=True)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
