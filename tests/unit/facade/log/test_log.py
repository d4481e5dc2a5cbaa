"""The log without a broker: what its readers wait for."""

import asyncio
import logging
from typing import Any

import pytest
from aiokafka import TopicPartition

from fabric_jobs.cli.dev.broker import EmbeddedBroker
from fabric_jobs.facade.log import Log, LogUnavailableError, Record
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.runtime.settings import KafkaSettings
from fabric_jobs.runtime.telemetry.logs import OutageFilter
from tests.support.log_kit import RecordingReader, topic_spec


async def test_connect_to_the_embedded_broker_as_if_it_were_kafka_names_the_setting() -> None:
    """The broker can be reached, so the error does not say that it can't."""
    broker = EmbeddedBroker()
    log = Log(KafkaSettings(kafka_bootstrap_servers=broker.address), topic_spec("t"))
    with pytest.raises(LogUnavailableError) as raised:
        await log.connect(within_s=0)

    assert str(raised.value).startswith(f"The broker at {broker.address} lacks a request")
    assert str(raised.value).endswith("set FABRIC_JOBS_KAFKA_BROKER=embedded.")


async def test_read_to_a_position_waits_for_the_records_of_its_partition_before_it() -> None:
    """A claim names a record that this facade may not have read yet."""
    log: Any = Log(KafkaSettings(), topic_spec("t"))
    log._tail = tail = Tail(KafkaSettings(), "t", 2, RecordingReader())
    reading = asyncio.create_task(log.read_to(1, 2))
    for positions in ({0: 9, 1: 0}, {0: 9, 1: 1}):
        tail._apply([Record(1, positions[1], 0, b"{}")], positions)
        await asyncio.sleep(0)
        assert not reading.done()
    tail._apply([Record(1, 1, 0, b"{}")], {0: 9, 1: 2})

    async with asyncio.timeout(10):
        await reading
        await log.read_to(1, 2)


async def test_read_to_the_end_looks_again_if_the_tail_has_begun_again_since_the_look() -> None:
    """The reader lacks records then, and a job that it lacks would be answered as unknown."""
    log: Any = Log(KafkaSettings(), topic_spec("t"))
    log.partitions = 1
    log._tail = tail = Tail(KafkaSettings(), "t", 1, RecordingReader())

    class Probe:
        async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
            return {TopicPartition("t", 0): 1}

    confirming = asyncio.create_task(log._confirm(Probe()))
    reading = asyncio.create_task(log.read_to_end())
    while not tail._waiters:
        await asyncio.sleep(0)
    tail._apply([Record(0, 0, 0, b"{}")], {0: 1})
    while not log.caught_up:
        await asyncio.sleep(0)
    tail._begin_again()
    while not (reading.done() or tail._waiters):
        await asyncio.sleep(0)
    assert not reading.done()

    tail._apply([Record(0, 0, 0, b"{}")], {0: 1})
    await asyncio.wait_for(reading, 10)
    confirming.cancel()


async def test_connect_while_kafka_is_away_logs_its_tries_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A facade that starts during an outage tries for a minute, and the waits differ each time."""
    errors = [LogUnavailableError("Kafka can't be reached.") for _ in range(3)]

    async def connect(_: Log) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(Log, "_connect", connect)
    caplog.handler.addFilter(outages := OutageFilter())
    with caplog.at_level(logging.WARNING, "fabric_jobs.log"):
        await Log(KafkaSettings(), topic_spec("t")).connect()
    caplog.handler.removeFilter(outages)

    assert not errors
    assert caplog.messages == ["the log can't be used yet: Kafka can't be reached."]
