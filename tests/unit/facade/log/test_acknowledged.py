"""An exhaustive search of how two tails apply one partition, by acknowledgement and by fetch.

The tails are the product's own; the broker is a list. In any order, a tail's process appends a
record, hears of its acknowledgement, fetches one record, or restarts; once, the broker may lose the
last record, as an unclean leader election does, whether its writer heard of the acknowledgement or
not, and whether a tail has fetched it or not. A state is reached again by repeating its steps, so
that no tail has to be copied.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from aiokafka.errors import OffsetOutOfRangeError

from fabric_jobs.facade.log import tail as tail_module
from fabric_jobs.facade.log.acknowledged import AppendedRecord, Unfetched
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.runtime.settings import KafkaSettings
from tests.support.log_kit import RecordingReader
from tests.support.partition_kit import TOPIC, Broker, Consumer

#: How many records are appended in all, without a loss and with one.
MAX_APPENDS, MAX_APPENDS_AND_LOSS = 4, 3
#: A step, and the number of the process that makes it; the broker's own step has no process.
Step = tuple[str, int]
LOSE: Step = ("lose", -1)


class Process:
    """A tail with its reader, its consumer, and the acknowledgements that it has not heard of."""

    def __init__(self, broker: Broker) -> None:
        self.reader = RecordingReader()
        self.tail = Tail(KafkaSettings(), "t", 1, self.reader)
        self.consumer = Consumer(broker)
        self.unheard = deque[AppendedRecord]()
        self.was_ahead = False

    @property
    def leader_is_new(self) -> bool:
        """Whether the tail has verified nothing since the partition got its leader."""
        return self.tail._verification._leaders[TOPIC] != self.consumer.broker.leader

    async def start(self) -> None:
        """Reads on from the reader's checkpoints, as a restarted tail does."""
        await self.tail._resume(self.consumer)
        self.tail._is_reading = True

    async def hear(self) -> None:
        """Hears of the oldest acknowledgement."""
        self.tail.acknowledge(self.unheard.popleft())
        await asyncio.sleep(0)
        self.was_ahead |= self.consumer.at < self.tail.positions[0]

    async def fetch(self) -> None:
        """Fetches one record; a tail that must be restarted is."""
        try:
            await self.tail._poll(self.consumer)
        except (tail_module._RestartedError, OffsetOutOfRangeError):
            await self.start()


class State(NamedTuple):
    """What tells two moments of the search apart."""

    log: tuple[AppendedRecord, ...]
    processes: tuple[object, ...]
    lost: bool


class World:
    """A broker and two processes."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.processes = (Process(self.broker), Process(self.broker))

    async def take(self, step: Step) -> None:
        """Makes one step."""
        name, number = step
        if step == LOSE:
            self.broker.lose()
        elif name == "append":
            self.processes[number].unheard.append(self.broker.append())
        elif name == "hear":
            await self.processes[number].hear()
        elif name == "restart":
            await self.processes[number].start()
        else:
            await self.processes[number].fetch()

    def steps(self, *, may_lose: bool) -> Iterator[Step]:
        """The steps that can follow."""
        max_appends = MAX_APPENDS_AND_LOSS if may_lose else MAX_APPENDS
        for number, process in enumerate(self.processes):
            if self.broker.appends < max_appends:
                yield "append", number
            if process.unheard:
                yield "hear", number
            if process.consumer.at != len(self.broker.records) or process.leader_is_new:
                yield "fetch", number
            if process.consumer.at < process.tail.positions[0]:
                yield "restart", number
        if may_lose and self.broker.lost is None and self.broker.records:
            yield LOSE

    def state(self) -> State:
        """The present state."""
        seen = tuple(
            (
                tuple(process.unheard),
                process.consumer.at,
                tuple(process.reader.records),
                process.reader.resets,
                process.tail.lost_records,
                tuple(process.tail._verification._fetched.values()),
                process.leader_is_new,
            )
            for process in self.processes
        )
        return State(tuple(self.broker.records), seen, self.broker.lost is not None)

    def check(self) -> None:
        """Asserts that each reader has each record once, in order, and none that is not there."""
        for process in self.processes:
            read = [(record.offset, record.value) for record in process.reader.records]
            assert [offset for offset, _ in read] == [*range(len(read))]
            assert process.tail.positions[0] == len(read)
            log = [(record.offset, record.value) for record in self.broker.records]
            lost = self.broker.lost
            if lost and (lost.offset, lost.value) in read:
                # What lies at its offset now was not fetched yet.
                log[lost.offset : lost.offset + 1] = [(lost.offset, lost.value)]
            assert read == log[: len(read)]


async def replay(steps: tuple[Step, ...]) -> World:
    """The world after these steps."""
    world = World()
    for process in world.processes:
        await process.start()
    for step in steps:
        await world.take(step)
    return world


@pytest.mark.parametrize("may_lose", [False, True], ids=["a healthy log", "a lost record"])
async def test_every_interleaving_applies_each_record_once_and_notices_a_lost_one(
    may_lose: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of applying give the same records; a record in a lost one's place is noticed."""
    # A tail restarts after a gap between two polls, and a busy machine may make one.
    monkeypatch.setattr(tail_module, "time", SimpleNamespace(monotonic=lambda: 0.0))
    seen, frontier = set[State](), [tuple[Step, ...]()]
    noticed = ahead = ends = 0
    while frontier:
        reached: list[tuple[Step, ...]] = []
        for steps in frontier:
            world = await replay(steps)
            state = world.state()
            if state in seen:
                continue
            seen.add(state)
            world.check()
            following = [*world.steps(may_lose=may_lose)]
            reached += [(*steps, step) for step in following]
            noticed += any(process.tail.lost_records for process in world.processes)
            ahead += any(process.was_ahead for process in world.processes)
            if not following:
                ends += 1
                full = [record.value for record in world.broker.records]
                for process in world.processes:
                    assert process.reader.values == full
        frontier = reached
    print(f"{len(seen)} states, {ahead} with a record ahead, {noticed} with a noticed loss")

    assert ahead > 100
    assert ends
    assert bool(noticed) == may_lose


async def test_acknowledged_record_that_is_lost_before_its_fetch_is_noticed_without_another() -> (
    None
):
    """The partition then ends exactly behind the record that was fetched last."""
    world = await replay(
        (("append", 0), ("hear", 0), ("fetch", 0), ("append", 0), ("hear", 0), LOSE, ("fetch", 0))
    )

    process = world.processes[0]
    assert process.tail.lost_records == 1
    assert process.tail.positions == {0: 0}


def test_unfetched_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that has stopped is noticed, because acknowledgements then apply no more."""
    monkeypatch.setattr("fabric_jobs.facade.log.acknowledged.MAX_UNFETCHED", 2)
    unfetched = Unfetched()
    for offset in range(2):
        assert not unfetched.is_full
        unfetched.add(AppendedRecord("t", 0, offset, 0, b"key", b"value", ()))
    assert unfetched.is_full
    assert unfetched.take_lost(0, 0, b"value") is None
    assert not unfetched.is_full

    # What is forgotten leaves room as well.
    for forget in (lambda: unfetched.forget(0), unfetched.clear):
        while not unfetched.is_full:
            unfetched.add(AppendedRecord("t", 0, 9, 0, b"key", b"value", ()))
        forget()
        assert not unfetched.is_full


def test_record_that_a_compaction_removed_is_no_lost_one() -> None:
    """The fetch brings a later offset, so nothing was found in the record's place."""
    unfetched = Unfetched()
    unfetched.add(AppendedRecord("t", 0, 3, 0, b"key", b"value", ()))

    assert unfetched.take_lost(0, 5, b"another") is None
    assert unfetched.first(0) is None
