"""The loop: an input, a look at the programs, and the next input, until the time is over."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaProducer
from msgspec import Struct

from tests.fuzz.command import CommandLine
from tests.fuzz.doors import Door, Records, open_doors
from tests.fuzz.mutate import Mutator
from tests.fuzz.system import running
from tests.fuzz.watch import STALL, Watch
from tests.support.brokers import SERVERS
from tests.support.programs import new_id

#: The names of all doors.
DOORS = ("http", "issuer", "frames", "messages", "events", "heartbeats", "command")
#: Seconds between two jobs of another client, and between two inputs of the command line.
JOB_INTERVAL_S = 2.0
COMMAND_INTERVAL_S = 3.0
#: A run ends early with so many findings.
MAX_FINDINGS = 20
#: Inputs that are sent at once.
BATCH = 8
#: Batches of records between two batches of each other door: records need no answer.
RECORD_BATCHES = 5


class Finding(Struct, frozen=True):
    """An input, and what was wrong after it."""

    door: str
    seed: int
    number: int
    data: bytes
    what: str

    def write(self, path: Path) -> None:
        """Writes the finding as a file that `replay` reads."""
        fields = {
            "door": self.door,
            "seed": self.seed,
            "number": self.number,
            "what": self.what,
            "data": base64.b64encode(self.data).decode(),
        }
        path.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> "Finding":
        """The finding that `write` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Finding(**fields | {"data": base64.b64decode(fields["data"])})


class Session(Struct):
    """The doors of running programs, and the watch over them."""

    doors: dict[str, Door]
    watch: Watch

    async def try_inputs(self, door: Door, inputs: Sequence[bytes]) -> list[tuple[int, str]]:
        """Sends inputs at once. Returns what is wrong, each with the position of its input.

        What the watch finds after several inputs is tried again with each of them alone. What no
        single input shows again is said of the first, but for a standstill: that was the sum.
        """
        self.watch.before()
        answers = await asyncio.gather(*(door.send(data) for data in inputs))
        found = [(at, answer) for at, answer in enumerate(answers) if answer]
        faults = await self.watch.after()
        if not faults or len(inputs) == 1 or any("ended with" in fault for fault in faults):
            return found + [(0, f"{fault} (inputs: {len(inputs)})") for fault in faults]
        alone = []
        for at, data in enumerate(inputs):
            alone += [(at, fault) for _, fault in await self.try_inputs(door, [data])]
        if alone:
            return found + alone
        return found + [
            (0, f"{fault} (inputs: {len(inputs)})") for fault in faults if STALL not in fault
        ]


@asynccontextmanager
async def session(folder: Path) -> AsyncIterator[Session]:
    """Running programs that have run a first job."""
    async with (
        running(folder) as system,
        AIOKafkaProducer(
            bootstrap_servers=system.environment[SERVERS], max_request_size=900_000
        ) as producer,
    ):
        watch = Watch(system, await system.headers())
        await watch.begin()
        doors = [*await open_doors(system, producer), CommandLine(system)]
        assert tuple(door.name for door in doors) == DOORS
        yield Session({door.name: door for door in doors}, watch)


def make(door: Door, seed: int, number: int) -> bytes:
    """The door's input of this number: varied alike for the same seed, whatever else is sent."""
    return door.make(Mutator(Random(f"{seed}:{door.name}:{number}")))


async def fuzz(
    folder: Path, seed: int, seconds: float, only: Iterable[str] | None = None
) -> list[Finding]:
    """Sends inputs for so many seconds. Returns what was found, each kind once."""
    async with session(folder) as running_session:
        run = _Run(running_session, seed, time.monotonic() + seconds)
        async with asyncio.TaskGroup() as tasks:
            doors = [running_session.doors[name] for name in only or running_session.doors]
            # A command takes a second of its own, so the other doors do not wait for it.
            for door in doors:
                if isinstance(door, CommandLine):
                    tasks.create_task(run.run_commands(door), name="commands")
            tasks.create_task(run.run_jobs(), name="jobs of another client")
            tasks.create_task(
                run.send([door for door in doors if not isinstance(door, CommandLine)]),
                name="inputs",
            )
        print(_summary(run.counts, running_session))
        return list(run.found.values())


class _Run:
    """One run: its findings by kind, and how many inputs each door has got."""

    def __init__(self, running_session: Session, seed: int, end: float) -> None:
        self._session = running_session
        self._seed = seed
        self._end = end
        self.found: dict[str, Finding] = {}
        self.counts: Counter[str] = Counter()

    @property
    def _is_over(self) -> bool:
        ended = any("ended with" in one.what for one in self.found.values())
        return ended or len(self.found) >= MAX_FINDINGS or time.monotonic() >= self._end

    async def send(self, doors: Sequence[Door]) -> None:
        """Sends batches of inputs to one door after the other."""
        while doors and not self._is_over:
            for door in doors:
                for _ in range(RECORD_BATCHES if isinstance(door, Records) else 1):
                    if not self._is_over:
                        await self._send(door, BATCH)

    async def run_commands(self, door: Door) -> None:
        """Runs a command at intervals."""
        while not self._is_over:
            (data,) = self._make(door, 1)
            if what := await door.send(data):
                self._add(door.name, self.counts[door.name] - 1, data, what)
            await asyncio.sleep(COMMAND_INTERVAL_S)

    async def run_jobs(self) -> None:
        """Runs a job of another client at intervals."""
        while not self._is_over:
            if what := await self._session.watch.run_job(new_id()):
                self._add("job", 0, b"", what)
            await asyncio.sleep(JOB_INTERVAL_S)

    async def _send(self, door: Door, count: int) -> None:
        first = self.counts[door.name]
        inputs = self._make(door, count)
        for at, what in await self._session.try_inputs(door, inputs):
            self._add(door.name, first + at, inputs[at], what)

    def _make(self, door: Door, count: int) -> list[bytes]:
        first = self.counts[door.name]
        self.counts[door.name] += count
        return [make(door, self._seed, number) for number in range(first, first + count)]

    def _add(self, door: str, number: int, data: bytes, what: str) -> None:
        finding = Finding(door, self._seed, number, data, what)
        self.found.setdefault(f"{door} {what[:60]}", finding)


async def replay(folder: Path, inputs: Path) -> list[Finding]:
    """Sends the inputs of a folder's files. Returns those after which something is wrong."""
    found = []
    async with session(folder) as running_session:
        for path in sorted(inputs.glob("*.json")):
            one = Finding.read(path)
            door = running_session.doors[one.door]
            faults = await running_session.try_inputs(door, [one.data])
            found += [Finding(one.door, one.seed, one.number, one.data, what) for _, what in faults]
        await asyncio.sleep(1)
        if what := await running_session.watch.run_job(new_id()):
            found.append(Finding("job", 0, 0, b"", what))
    return found


def _summary(counts: Counter[str], running_session: Session) -> str:
    polls = sorted(running_session.watch.polls) or [0.0]
    median_ms, longest_ms = polls[len(polls) // 2] * 1000, polls[-1] * 1000
    sent = " ".join(f"{name}={count}" for name, count in sorted(counts.items()))
    return f"fuzz: {sent}; another client's polls: p50 {median_ms:.0f} ms, max {longest_ms:.0f} ms"
