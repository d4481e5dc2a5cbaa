"""The tail without a broker: how it ends, and how it begins again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from tenacity import RetryCallState, wait_exponential

from fabric_jobs.facade.log import Checkpoint, Record, tail
from fabric_jobs.facade.log.reader import checksum
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.runtime.settings import KafkaSettings
from tests.support.log_kit import RecordingReader
from tests.support.partition_kit import Broker, Consumer


class FailingConsumer(Consumer):
    """A consumer whose polls fail after so many of them."""

    def __init__(self, broker: Broker, polls: int) -> None:
        super().__init__(broker)
        self._polls = polls

    async def getmany(self, **options: int) -> Any:
        if not self._polls:
            raise KafkaError
        self._polls -= 1
        return await super().getmany(**options)


class ForgetfulReader(RecordingReader):
    """A reader that gets all records at each start."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        return {}


class FailingReader(RecordingReader):
    """A reader that can take no record."""

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        if records:
            raise RuntimeError("The reader fails.")


async def test_tail_cancelled_while_its_consumer_connects_closes_the_consumer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka's consumer has connections and tasks before `start` returns."""
    consumer = SimpleNamespace(stop=AsyncMock(), _client=SimpleNamespace(_conns={}))
    connecting = asyncio.Event()

    async def connect(*_: Any) -> None:
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tail, "AIOKafkaConsumer", lambda **_: consumer)
    monkeypatch.setattr(tail, "connect_client", connect)
    running = asyncio.create_task(Tail(KafkaSettings(), "t", 1, RecordingReader()).run())
    await connecting.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    consumer.stop.assert_awaited_once()


async def test_tail_has_a_consumer_without_a_group_that_skips_no_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By default a consumer whose position is lost goes on at the log's end."""
    made = list[AIOKafkaConsumer]()

    async def connect(consumer: AIOKafkaConsumer, _: KafkaSettings) -> None:
        made.append(consumer)
        raise KafkaError

    monkeypatch.setattr(tail, "connect_client", connect)
    with pytest.raises(KafkaError):
        await Tail(KafkaSettings(), "t", 1, RecordingReader())._read()

    assert [(each._group_id, each._auto_offset_reset) for each in made] == [(None, "none")]


@asynccontextmanager
async def running(
    started: Tail, consumer: Consumer, patch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[None]]:
    """The tail reads with this consumer, in this task, until the end of the block."""
    patch.setattr(tail, "AIOKafkaConsumer", lambda **_: consumer)
    patch.setattr(tail, "connect_client", AsyncMock())
    patch.setattr(tail, "stop_client", AsyncMock())
    task = asyncio.create_task(started.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("keeps_position", [True, False])
async def test_offset_out_of_range_resets_only_a_reader_that_keeps_no_position(
    keeps_position: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that lost its power answers so until it knows that another one leads."""
    broker = Broker()
    broker.append()
    reader = RecordingReader() if keeps_position else ForgetfulReader()
    started = Tail(KafkaSettings(), "t", 1, reader)
    async with running(started, Consumer(broker), monkeypatch):
        await started.wait_for({0: 1})
        broker.is_behind = True
        await broker.told.wait()
        broker.append()
        await started.wait_for({0: 2})

    assert reader.resets == (not keeps_position)
    assert reader.values == [record.value for record in broker.records]


@pytest.mark.parametrize("keeps_position", [True, False])
async def test_reader_without_positions_reads_no_record_older_than_it_needs(
    keeps_position: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker keeps heartbeats for up to a week, and one that is not yet an hour old is enough."""
    broker, now_ms = Broker(), int(time.time() * 1000)
    for age_ms in (7_000_000, 3_700_000, 3_500_000, 0):
        broker.records[-1:] = [broker.append()._replace(timestamp=now_ms - age_ms)]
    reader = RecordingReader() if keeps_position else ForgetfulReader()
    reader._checkpoints[0] = Checkpoint(1, 0, checksum(broker.records[0].value))
    started = Tail(KafkaSettings(), "t", 1, reader, max_age_ms=3_600_000)
    async with running(started, Consumer(broker), monkeypatch):
        await started.wait_for({0: 4})
        broker.append()
        await started.wait_for({0: 5})

    assert reader.values == [b"2", b"3", b"4", b"5"][not keeps_position :]


async def test_reader_without_positions_begins_at_the_end_of_a_topic_with_old_records_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next record is the first that it reads."""
    broker, reader = Broker(), ForgetfulReader()
    broker.append()
    started = Tail(KafkaSettings(), "t", 1, reader, max_age_ms=3_600_000)
    async with running(started, Consumer(broker), monkeypatch):
        await started.wait_for({0: 1})
        broker.append()
        await started.wait_for({0: 2})

    assert reader.values == [b"2"]


async def test_records_that_were_fetched_ahead_leave_time_to_others_between_two_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poll does not suspend while the consumer has records, so the tail must."""
    broker = Broker()
    reader = RecordingReader()
    for _ in range(3):
        broker.append()
    started = Tail(KafkaSettings(), "t", 1, reader)
    seen = set[int]()
    async with running(started, Consumer(broker), monkeypatch):
        while len(reader.records) < 3:
            seen.add(len(reader.records))
            await asyncio.sleep(0)

    assert seen == {0, 1, 2}


async def test_wait_for_positions_that_are_lost_again_at_once_goes_on() -> None:
    """The tail may begin again before the caller that it has woken runs."""
    started = Tail(KafkaSettings(), "t", 1, RecordingReader())
    waiting = asyncio.create_task(started.wait_for({0: 1}))
    await asyncio.sleep(0)

    started._apply([Record(0, 0, 0, b"{}")], {0: 1})
    started._begin_again()
    await asyncio.sleep(0)
    assert not waiting.done()

    started._apply([Record(0, 0, 0, b"{}")], {0: 1})
    await asyncio.wait_for(waiting, 10)


async def test_wait_before_a_restart_is_short_again_once_a_poll_has_succeeded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only restarts without a successful poll between them make the wait longer."""
    broker = Broker()
    for _ in range(2):
        broker.append()
    # The polls of each consumer that succeed before one fails; each of them reads one record.
    consumers = iter([FailingConsumer(broker, polls) for polls in (0, 0, 0, 1, 0, 100)])
    bounds = list[float]()

    def record_bound(multiplier: float, **options: float) -> Callable[[RetryCallState], float]:
        bound = wait_exponential(multiplier, **options)

        def wait(state: RetryCallState) -> float:
            bounds.append(bound(state))
            return 0.0

        return wait

    monkeypatch.setattr(tail, "AIOKafkaConsumer", lambda **_: next(consumers))
    monkeypatch.setattr(tail, "connect_client", AsyncMock())
    monkeypatch.setattr(tail, "stop_client", AsyncMock())
    monkeypatch.setattr(tail, "wait_random_exponential", record_bound)
    running_tail = Tail(KafkaSettings(), "t", 1, RecordingReader())
    running = asyncio.create_task(running_tail.run())
    try:
        await running_tail.wait_for({0: 2})
    finally:
        running.cancel()

    assert bounds == [0.1, 0.2, 0.4, 0.1, 0.2]


@pytest.mark.parametrize("is_acknowledged", [True, False])
async def test_tail_whose_reader_fails_at_a_record_raises_its_error(
    is_acknowledged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for a record of a fetch, and for one that is applied when Kafka acknowledges it.

    The event loop only logs what a callback raises.
    """
    unhandled = list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    broker = Broker()
    started = Tail(KafkaSettings(), "t", 1, FailingReader())

    async def read_one() -> None:
        async with running(started, Consumer(broker), monkeypatch) as task:
            while not started._is_reading:
                await asyncio.sleep(0)
            record = broker.append()
            if is_acknowledged:
                broker.records.clear()  # no fetch brings it before
                started.acknowledge(record)
            await asyncio.wait_for(task, 10)

    with pytest.raises(RuntimeError, match="The reader fails"):
        await read_one()
    assert unhandled == []


@pytest.mark.parametrize("is_empty", [True, False], ids=["an empty poll", "a poll with records"])
async def test_tail_that_stood_still_verifies_the_topic_before_it_applies_more_records(
    is_empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic may have been deleted meanwhile, and created again with other records."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(tail, "time", SimpleNamespace(monotonic=lambda: clock.now))
    broker, reader = Broker(), RecordingReader()
    broker.append()
    started = Tail(KafkaSettings(), "t", 1, reader)
    async with running(started, Consumer(broker), monkeypatch), asyncio.timeout(10):
        await started.wait_for({0: 1})
        clock.now += tail.GAP_S + 1
        while is_empty and not started._must_verify:
            await asyncio.sleep(0)
        broker.records.clear()
        for _ in range(2):
            broker.append()
        while len(reader.records) < 2:
            await asyncio.sleep(0)

    assert (reader.values, reader.resets) == ([b"2", b"3"], 1)


@pytest.mark.parametrize(
    ("reason", "applied"),
    [
        ("", [b"1"]),
        ("it connects again", []),
        ("the log's end was not reached", []),
        ("it stood still", []),
        ("the broker has no time of its own", []),
    ],
)
async def test_tail_applies_an_acknowledged_record_only_while_it_knows_the_topic(
    reason: str, applied: list[bytes]
) -> None:
    """Otherwise the record comes with the fetch, after the tail has verified the topic."""
    broker, reader = Broker(), RecordingReader()
    settings = KafkaSettings(kafka_broker="embedded" if "no time" in reason else "apache")
    started = Tail(settings, "t", 1, reader)
    await started._resume(Consumer(broker))
    started._is_reading = reason != "it connects again"
    if reason == "the log's end was not reached":
        started.verify()
    if reason == "it stood still":
        started._polled_at -= tail.GAP_S + 1
    started.acknowledge(broker.append())
    await asyncio.sleep(0)

    assert reader.values == applied


async def test_wait_for_positions_that_is_cancelled_leaves_nothing() -> None:
    """While Kafka is away, many calls wait and end with their deadlines."""
    started = Tail(KafkaSettings(), "t", 1, RecordingReader())
    waiting = asyncio.create_task(started.wait_for({0: 1}))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    assert not started._waiters
