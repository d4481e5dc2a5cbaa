"""The roster: live executors and facades, rank, and the clock, by the heartbeats."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord, RecordMetadata, TopicPartition

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import (
    MAX_JOB_TYPES,
    ExecutorHeartbeat,
    FacadeHeartbeat,
    Heartbeat,
    JobKind,
)
from fabric_jobs.contract.scalars import END_OF_TIME
from fabric_jobs.facade import clock
from fabric_jobs.facade import roster as roster_module
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.log import CodeVerdict, Record, RecordCodes
from fabric_jobs.facade.peers import MAX_FACADE_SILENCE_S
from fabric_jobs.facade.roster import MAX_EXECUTOR_KINDS, Roster
from fabric_jobs.runtime.settings import RingKey

ME = "/facade/m"
DAY_S = 86_400
KIND = JobKind("Item", "job")
OLD_KIND = JobKind("Item", "old")


class NoLog:
    """A heartbeats log that nothing is written to."""


def roster(*, record_time: bool = True, longest_life_s: int = DAY_S) -> Roster:
    """The roster of facade `ME`, with leases of 30 s."""
    no_log: Any = NoLog()
    return Roster(no_log, Clock(), ME, 30.0, longest_life_s, record_time=record_time)


def read(to: Roster, heartbeat: Heartbeat, seconds_ago: float = 0) -> None:
    """The roster reads a heartbeat that the broker recorded so many seconds ago."""
    at = datetime.now(UTC).timestamp() - seconds_ago
    to.apply([Record(0, 0, int(at * 1000), heartbeats.encode(heartbeat))], {})


def test_roster_executor_silent_for_a_lease_is_not_listed() -> None:
    """The others are listed by pool and id."""
    mine = roster()
    for name, seconds_ago in (("b", 0), ("a", 29), ("gone", 31)):
        read(mine, ExecutorHeartbeat(executor_id=name), seconds_ago)

    assert [last.heartbeat.executor_id for last in mine.executors()] == ["a", "b"]


def test_roster_find_after_a_step_of_the_wall_clock_still_finds_the_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lease is judged by the broker's time, as everywhere."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="a"))

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + DAY_S, tz)

    for module in (clock, roster_module):
        monkeypatch.setattr(module, "datetime", Ahead)

    assert mine.find("a") == ExecutorHeartbeat(executor_id="a")


def test_roster_last_served_keeps_its_time_after_the_executor_is_gone() -> None:
    """A kind of job that no executor ever served has no time."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="a", job_kinds=(KIND,)), 600)
    served = mine.last_served(KIND)

    assert mine.executors() == []
    assert served is not None
    assert timedelta(seconds=599) < datetime.now(UTC) - served < timedelta(seconds=610)
    assert mine.last_served(JobKind("Item", "other")) is None


def test_roster_rank_counts_live_facades_before_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A facade that is silent for too long no longer counts."""
    mine = roster()
    for name in ("/facade/a", ME, "/facade/z"):
        read(mine, FacadeHeartbeat(facade_id=name, time=datetime.now(UTC)))
    assert mine.peers.rank() == 1
    later = time.monotonic() + MAX_FACADE_SILENCE_S
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert mine.peers.rank() == 0


class BrokerLog:
    """A heartbeats log whose broker's clock differs from this machine's by `ahead`.

    It acknowledges each record, and nothing is read from it.
    """

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead
        self.codes: RecordCodes | None = None
        #: The verdict on the code of each record.
        self.verdicts: list[CodeVerdict] = []

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: Sequence[object]
    ) -> asyncio.Future[RecordMetadata]:
        """Acknowledges the record with the broker's time."""
        at = int((datetime.now(UTC) + self.ahead).timestamp() * 1000)
        if self.codes:
            codes = self.codes.write("t", 0, key, value)
            record: Any = ConsumerRecord("t", 0, 0, at, 1, key, value, None, 0, 0, codes)
            self.verdicts.append(self.codes.verify(record))
        acknowledgement = asyncio.get_running_loop().create_future()
        topic = TopicPartition("t", 0)
        acknowledgement.set_result(RecordMetadata("t", 0, topic, 0, at, 1, 0))
        return acknowledgement


@pytest.mark.parametrize("days", [-2, 2])
async def test_roster_clock_days_from_the_broker_s_is_confirmed_and_then_its_codes_are_right(
    monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Every reader refuses the code of the first heartbeat; its acknowledgement sets the clock."""
    monkeypatch.setattr(roster_module, "HEARTBEAT_S", 0.01)
    log: Any = BrokerLog(timedelta(days=days))
    own = Clock()
    mine = Roster(log, own, ME, 30.0, DAY_S, record_time=True)
    log.codes = RecordCodes(
        [RingKey("one", bytes(32))], required=True, record_time=True, now=own.now
    )
    running = asyncio.create_task(mine.run())
    async with asyncio.timeout(10):
        while len(log.verdicts) < 3:
            await asyncio.sleep(0.01)
    running.cancel()

    assert log.verdicts[:3] == [CodeVerdict.WRONG, CodeVerdict.RIGHT, CodeVerdict.RIGHT]
    assert own.is_confirmed
    assert not own.is_right
    assert abs(own.now() - (datetime.now(UTC) + log.ahead)) < timedelta(seconds=5)


async def test_roster_clock_is_not_confirmed_by_a_heartbeat_that_is_only_read() -> None:
    """Whoever can write to the topic can copy this facade's heartbeat."""
    mine = roster()
    heartbeat = mine.peers.heartbeat()
    mine.clock.note_written(heartbeat.time)
    read(mine, heartbeat, DAY_S)

    assert not mine.clock.is_confirmed
    assert mine.clock.is_right


@pytest.mark.parametrize("seconds", [-40, 40])
async def test_roster_clock_far_from_the_broker_s_is_wrong_until_it_is_set(
    monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """It may be ahead or behind. A broker without record time says nothing about the clock."""
    monkeypatch.setattr(roster_module, "HEARTBEAT_S", 0.01)
    log: Any = BrokerLog(timedelta(seconds=seconds))
    mine = Roster(log, Clock(), ME, 30.0, DAY_S, record_time=True)
    timeless = Roster(log, Clock(), ME, 30.0, DAY_S, record_time=False)
    running = [asyncio.create_task(one.run()) for one in (mine, timeless)]
    await mine.clock.wait_until_confirmed()
    await timeless.clock.wait_until_confirmed()
    assert timeless.clock.is_right
    assert not mine.clock.is_right
    log.ahead = timedelta()
    async with asyncio.timeout(10):
        while not mine.clock.is_right:
            await asyncio.sleep(0.01)
    for task in running:
        task.cancel()


def test_roster_malformed_record_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """It stops no facade, and is counted and logged. An empty one is a test append."""
    mine = roster()
    far = FacadeHeartbeat(facade_id="a", time=END_OF_TIME)
    junk = [b"junk", b"[" * 100_000, b'{"type":"executor","executorId":7}', heartbeats.encode(far)]
    for offset, value in enumerate([None, b"", *junk]):
        assert heartbeats.decode(value) is None
        mine.apply([Record(0, offset, 0, value)], {})

    assert mine.executors() == []
    assert mine.poison.count == len(junk)
    assert [line.split(":")[0] for line in caplog.messages] == [
        f"skipped a record that is no heartbeat, partition 0 offset {offset}"
        for offset in range(2, 2 + len(junk))
    ]


def test_roster_remembers_a_bounded_number_of_kinds_and_forgets_the_oldest() -> None:
    """Executors that connect once with many job types cost no more than the bound."""
    mine = roster()
    for number in range(100):
        kinds = tuple(JobKind(f"Item {number}", f"job {kind}") for kind in range(MAX_JOB_TYPES))
        read(mine, ExecutorHeartbeat(executor_id=f"{number:03}", job_kinds=kinds))

    kept = [last.heartbeat for last in mine.executors()]
    assert [heartbeat.executor_id for heartbeat in kept] == [f"{n:03}" for n in range(75, 100)]
    assert sum(len(heartbeat.job_kinds) for heartbeat in kept) == MAX_EXECUTOR_KINDS
    assert mine.last_served(JobKind("Item 74", "job 0")) is None
    assert mine.last_served(JobKind("Item 75", "job 0"))


def test_roster_executor_that_repeats_its_heartbeat_counts_once() -> None:
    """What counts is what is remembered."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="quiet"))
    for _ in range(100):
        kinds = tuple(JobKind("Item", f"job {kind}") for kind in range(MAX_JOB_TYPES))
        read(mine, ExecutorHeartbeat(executor_id="a", job_kinds=kinds))

    assert [last.heartbeat.executor_id for last in mine.executors()] == ["a", "quiet"]


def test_roster_forgets_what_is_silent() -> None:
    """Memory follows what is alive."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="gone", job_kinds=(KIND,)), 31)
    read(mine, ExecutorHeartbeat(executor_id="here"))
    read(mine, ExecutorHeartbeat(executor_id="long gone", job_kinds=(OLD_KIND,)), 4 * 3600)
    mine.forget_silent()

    assert [*mine._executors] == ["here"]
    assert mine.last_served(KIND)
    assert mine.last_served(OLD_KIND) is None
