"""The faults of a world: each is a step of a script that the seed decides and the shrinker cuts."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeVar

from aiokafka import TopicPartition
from msgspec import Struct

from tests.simulation import kafka, rpc, state_files
from tests.simulation.kafka import EVENTS
from tests.simulation.nodes import ExecutorNode, FacadeNode
from tests.simulation.rpc import DOWN, KEEPALIVE_S, UP

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

#: Leaps of a script.
MAX_LEAPS = 3
#: Faults after which every executor keeps its runs.
HARMLESS = {"misfortune", "lost requests", "cut"}
UNCLEAN = "unclean election"
MISFORTUNES = (
    "late append",
    "refused append",
    "failed after append",
    "lost acknowledgement",
    "late acknowledgement",
    "duplicate",
)


class Fault(Struct, frozen=True):
    """A step of the script: from when, what, how long, and which node or how much."""

    at: float
    name: str
    seconds: float
    number: int

    def choose(self, among: Sequence[T], divisor: int = 1) -> T:
        """Returns one of these. A second choice of one fault takes another divisor."""
        return among[self.number // divisor % len(among)]

    def __str__(self) -> str:
        return f"{self.at:8.3f} s: {self.name} {self.number} for {self.seconds:.3f} s"


def make_script(seed: str, seconds: float, rate_per_s: float) -> list[Fault]:
    """Returns the script of a seed."""
    dice = Random(f"{seed} faults")
    # A world has few kinds of faults, so that each world is disturbed in another way.
    names = dice.sample(sorted(FAULTS), dice.randint(3, len(FAULTS)))
    script: list[Fault] = []
    at = 2.0
    while (at := at + dice.expovariate(rate_per_s)) < seconds:
        length_s = min(100.0, dice.paretovariate(0.7) * dice.choice([0.02, 0.3, 2.0]))
        name = dice.choice(names)
        if name == "leap" and sum(one.name == name for one in script) >= MAX_LEAPS:
            name = "misfortune"
        script.append(Fault(at, name, length_s, dice.randrange(1000)))
    return script


def inject(world: "World", fault: Fault) -> None:
    """Makes a fault begin, and end by itself."""
    world.loop.mark("fault", fault.name, fault.number)
    world.note_fault(fault)
    (FAULTS | LOSSES)[fault.name](world, fault)


def _crash_facade(world: "World", fault: Fault) -> None:
    facade = fault.choose(world.facades)
    _crash(world, fault, facade, silently=fault.number % 3 == 0)
    if fault.number % 7 == 0:
        facade.delete_file()


def _crash_executor(world: "World", fault: Fault) -> None:
    _crash(world, fault, fault.choose(world.executors), silently=fault.number % 3 == 0)


def _crash_all_facades(world: "World", fault: Fault) -> None:
    for facade in world.facades:
        _crash(world, fault, facade, silently=False)


def _crash(
    world: "World", fault: Fault, node: FacadeNode | ExecutorNode, *, silently: bool
) -> None:
    world.crash(node, silently=silently)
    world.call_later(fault.seconds, world.start, node)


def _stop(world: "World", fault: Fault) -> None:
    node = fault.choose(world.nodes)
    if node.is_running:
        if node.place:
            world.loop.resume(node.place)
        node.request_stop()
        world.call_later(fault.seconds + 12.0, world.start, node)


def _pause(world: "World", fault: Fault) -> None:
    node = fault.choose(world.nodes)
    world.pause(node, fault.seconds)


def _silence(world: "World", fault: Fault) -> None:
    executor = fault.choose(world.executors)
    facade = fault.choose(world.facades, 7)
    wire = world.network.wire(executor.name, facade.name)
    until = world.loop.time() + fault.seconds
    for direction in fault.choose([(UP,), (DOWN,), (UP, DOWN)]):
        wire.silent_until[direction] = max(wire.silent_until[direction], until)
    if fault.seconds > KEEPALIVE_S:
        for call in wire.calls:
            world.network.reset(call, KEEPALIVE_S)


def _cut(world: "World", fault: Fault) -> None:
    executor = fault.choose(world.executors)
    for facade in world.facades:
        world.network.cut(executor.name, facade.name)


def _slow(world: "World", fault: Fault) -> None:
    executor = fault.choose(world.executors)
    facade = fault.choose(world.facades, 7)
    wire = world.network.wire(executor.name, facade.name)
    wire.delay_s = (0.05, 2.0)
    world.call_later(fault.seconds, setattr, wire, "delay_s", rpc.DELAY_S)


def _cut_from_kafka(world: "World", fault: Fault) -> None:
    node = fault.choose(world.nodes)
    link = world.cluster.links[node.name]
    link.cut_until = max(link.cut_until, world.loop.time() + fault.seconds)
    world.note_log_away(fault.seconds + 2.0)


def _slow_kafka(world: "World", fault: Fault) -> None:
    node = fault.choose(world.nodes)
    link = world.cluster.links[node.name]
    link.delay_s = (0.05, 1.5)
    world.call_later(fault.seconds, setattr, link, "delay_s", kafka.DELAY_S)
    world.note_log_away(fault.seconds + 4.0)


def _change_leader(world: "World", fault: Fault) -> None:
    partitions = sorted(world.cluster.logs)
    partition = fault.choose(partitions)
    seconds = min(fault.seconds, 20.0)
    world.cluster.elections[partition] += 1
    world.cluster.leaderless_until[partition] = world.loop.time() + seconds
    world.note_log_away(seconds + 2.0)


def _misfortune(world: "World", fault: Fault) -> None:
    name = fault.choose(MISFORTUNES)
    world.cluster.misfortunes[name] += 1 + fault.number % 15


def _step_clock(world: "World", fault: Fault) -> None:
    node = fault.choose(world.nodes)
    seconds = fault.choose([0.5, -10.0, 40.0, -40.0, 7200.0, 7200.0, -7200.0], 7)
    node.clock.step(seconds)
    world.call_later(fault.seconds, node.clock.step, -seconds)


def _drift_clock(world: "World", fault: Fault) -> None:
    """The wall clock of a node is too fast or too slow. Then it goes right, and is set right."""
    clock = fault.choose(world.nodes).clock
    drift = fault.choose([0.0005, -0.0005, 0.02, -0.02, 0.5, -0.5], 7)
    begin = world.loop.time()

    def set_right() -> None:
        now = world.loop.time()
        clock.change_drift(-drift, now)
        clock.step(-drift * (now - begin))

    clock.change_drift(drift, begin)
    world.call_later(fault.seconds, set_right)


def _lose_requests(world: "World", fault: Fault) -> None:
    facade = fault.choose(world.facades)
    world.http_lost[facade.name] = world.loop.time() + min(fault.seconds, 10.0)


def _leap(world: "World", fault: Fault) -> None:
    """Every node is away for minutes or hours."""
    seconds = fault.choose([60.0, 600.0, 3600.0, 7200.0, 30_000.0, 100_000.0])
    world.leaped_s += seconds
    world.leap(seconds)


def _fail_state_file(world: "World", fault: Fault) -> None:
    """The state file of a facade fails. Brokers may deny all of its offsets at the same time."""
    facade = fault.choose(world.facades)
    if facade.state_file:
        way = fault.choose(sorted(state_files.WAYS), 3)
        period = fault.choose([1, 4, 30], 9)
        state_files.begin(facade.state_file, way, period, min(fault.seconds, 10.0))
    if fault.number % 2:
        _deny(world, facade, set(world.cluster.logs), fault.seconds)


def _deny_offsets(world: "World", fault: Fault) -> None:
    every = sorted(world.cluster.logs)
    partitions = set(every) if fault.number % 5 == 0 else {fault.choose(every, 5)}
    _deny(world, fault.choose(world.nodes), partitions, fault.seconds)


def _deny(
    world: "World", node: FacadeNode | ExecutorNode, partitions: set[TopicPartition], seconds: float
) -> None:
    """Brokers that lost their power say for a moment that a node's offsets are out of range."""
    seconds = min(seconds, 3.0)
    world.cluster.deny(node.name, partitions, seconds)
    world.note_log_away(seconds + 6.0)


def _lose_records(world: "World", fault: Fault) -> None:
    """The brokers lose the last records of a partition, whether they were acknowledged or not."""
    partitions = [one for one in sorted(world.cluster.logs) if one.topic == EVENTS]
    world.lost_records += world.cluster.lose(fault.choose(partitions), 1 + fault.number // 7 % 3)


FAULTS: dict[str, Callable[["World", Fault], None]] = {
    "crash of facade": _crash_facade,
    "crash of executor": _crash_executor,
    "crash of all facades": _crash_all_facades,
    "stop": _stop,
    "pause": _pause,
    "silence": _silence,
    "cut": _cut,
    "slow stream": _slow,
    "cut from Kafka": _cut_from_kafka,
    "slow Kafka": _slow_kafka,
    "change of leader": _change_leader,
    "misfortune": _misfortune,
    "clock step": _step_clock,
    "clock drift": _drift_clock,
    "lost requests": _lose_requests,
    "leap": _leap,
    "failed state file": _fail_state_file,
    "offset out of range": _deny_offsets,
}
#: The faults after which the log is not what it was. Only worlds of `unclean.py` have them.
LOSSES: dict[str, Callable[["World", Fault], None]] = {UNCLEAN: _lose_records}
