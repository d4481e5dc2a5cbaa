"""Records that are applied when Apache Kafka acknowledges them, before the fetch brings them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fabric_jobs.facade.log import Checkpoint, Log, Record
from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.brokers import Cluster, delete_topic
from tests.support.fetch_gate import FetchGate
from tests.support.log_kit import (
    RecordingReader,
    append_records,
    kafka_settings,
    open_log,
    topic_spec,
)
from tests.support.requirements import no_apache_kafka

# Brokers are killed and started again, and the limits inside one test add up to 150 s.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> FetchGate:
    """A gate before the fetches of the test's logs."""
    return FetchGate(monkeypatch)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """Three brokers, of which a test may kill one."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with ApacheKafka(tmp_path_factory.mktemp("kafka"), brokers=3) as kafka:
        yield kafka


@asynccontextmanager
async def write_elsewhere(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that is not the log's: what it appends, the log can only fetch."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def place(record: Record) -> tuple[int, int]:
    """The record's partition and offset."""
    return record.partition, record.offset


async def read_all(cluster: Cluster, topic: str) -> RecordingReader:
    """A reader that has fetched every record of the topic."""
    reader = RecordingReader()
    async with open_log(cluster, topic, reader):
        return reader


async def test_record_is_applied_when_it_is_acknowledged_and_fetched_records_are_equal(
    apache: Cluster, topic: str, gate: FetchGate
) -> None:
    """One log applies by acknowledgement and another by fetch: offsets, times and bytes agree."""
    here = RecordingReader()
    async with open_log(apache, topic, here) as log:
        await gate.close()
        await append_records(log, 1, b"a", b"b")
        await append_records(log, 2, b"c")
        async with asyncio.timeout(5):
            await log.read_to_end()
        assert here.values == [b"a", b"b", b"c"]
        gate.open()
        async with write_elsewhere(apache.bootstrap_servers) as producer:
            await producer.send_and_wait(topic, b"d", partition=1)
        async with asyncio.timeout(5):
            await log.read_to_end()
        there = await read_all(apache, topic)

        assert sorted(here.records, key=place) == sorted(there.records, key=place)
        assert here.checkpoints() == there.checkpoints()
        assert log.lost_records == 0


async def test_record_behind_another_writers_record_waits_for_the_fetch(
    apache: Cluster, topic: str, gate: FetchGate
) -> None:
    """The log is not at the record's offset, so the acknowledgement applies nothing."""
    here = RecordingReader()
    async with open_log(apache, topic, here) as log:
        await gate.close()
        async with write_elsewhere(apache.bootstrap_servers) as producer:
            await producer.send_and_wait(topic, b"theirs", partition=1)
        await append_records(log, 1, b"ours")
        await append_records(log, 2, b"alone")
        async with asyncio.timeout(5):
            await log.read_to(2, 1)
        assert here.values == [b"alone"]
        gate.open()
        async with asyncio.timeout(5):
            await log.read_to(1, 2)

        assert here.values == [b"alone", b"theirs", b"ours"]


async def test_embedded_brokers_acknowledgement_applies_nothing(
    embedded: Cluster, topic: str, gate: FetchGate
) -> None:
    """The embedded broker acknowledges another time than it fetches, so the fetch settles it."""
    here = RecordingReader()
    async with open_log(embedded, topic, here) as log:
        await gate.close()
        await append_records(log, 1, b"a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await log.read_to(1, 1)
        gate.open()
        async with asyncio.timeout(5):
            await log.read_to(1, 1)

        assert here.records == (await read_all(embedded, topic)).records


async def test_restart_before_the_fetch_continues_behind_the_applied_record(
    apache: Cluster, topic: str, gate: FetchGate
) -> None:
    """The checkpoint has the record, so the next start verifies it and reads on behind it."""
    reader = RecordingReader()
    async with open_log(apache, topic, reader) as log:
        await gate.close()
        await append_records(log, 0, b"a", b"b")
        async with asyncio.timeout(5):
            await log.read_to(0, 2)
    gate.open()
    async with open_log(apache, topic, reader) as log:
        await append_records(log, 0, b"c")
        async with asyncio.timeout(5):
            await log.read_to(0, 3)

    assert reader.values == [b"a", b"b", b"c"]
    assert reader.resets == 0


class ForgetfulReader(RecordingReader):
    """A reader that keeps no position, as that of the heartbeats."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        """No checkpoint."""
        return {}


async def test_restart_with_a_reader_that_keeps_no_position_reads_every_record_again(
    apache: Cluster, topic: str, gate: FetchGate
) -> None:
    """The reader also gets the records that were applied before a fetch brought them."""
    reader = ForgetfulReader()
    async with open_log(apache, topic, reader) as log:
        await append_records(log, 0, b"a")
        async with asyncio.timeout(5):
            await log.read_to(0, 1)
        await gate.close()
        await append_records(log, 0, b"b")
        async with asyncio.timeout(5):
            await log.read_to(0, 2)
        gate.open()
        log._running_tail.restart()
        await append_records(log, 0, b"c")
        async with asyncio.timeout(20):
            while reader.values[-3:] != [b"a", b"b", b"c"]:
                await asyncio.sleep(0.01)


async def test_topic_that_was_made_anew_before_the_fetch_is_a_fork(
    apache: Cluster, topic: str, gate: FetchGate, caplog: pytest.LogCaptureFixture
) -> None:
    """The applied record is not on the topic: it is named, counted, and the topic read again."""
    here = RecordingReader()
    async with open_log(apache, topic, here) as log:
        await gate.close()
        await append_records(log, 0, b"lost")
        async with asyncio.timeout(5):
            await log.read_to(0, 1)
        await delete_topic(apache, topic)
        await Log(kafka_settings(apache, topic), topic_spec(topic)).connect(within_s=20)
        async with write_elsewhere(apache.bootstrap_servers) as producer:
            await producer.send_and_wait(topic, b"kept", partition=0)
        gate.open()
        async with asyncio.timeout(30):
            while here.values != [b"kept"]:
                await asyncio.sleep(0.01)
            await log.catch_up()

        assert log.lost_records == 1
        assert here.resets == 1
        assert "partition 0 offset 0, with the key key, was acknowledged" in caplog.text


async def test_leader_change_between_acknowledgement_and_fetch_loses_nothing(
    brokers: ApacheKafka, topic: str, gate: FetchGate
) -> None:
    """The new leader has the record, and the tail skips it."""
    cluster = Cluster(brokers.bootstrap_servers, APACHE)
    await create_topic(cluster, topic, [0, 1, 2], {"min.insync.replicas": "2"})
    here = RecordingReader()
    async with open_log(cluster, topic, here, partitions=1) as log:
        await append_records(log, 0, b"a")
        await gate.close()
        await append_records(log, 0, b"b")
        async with asyncio.timeout(5):
            await log.read_to(0, 2)
        brokers.kill(0)
        gate.open()
        async with write_elsewhere(cluster.bootstrap_servers) as producer, asyncio.timeout(30):
            await producer.send_and_wait(topic, b"c", partition=0)
            await log.read_to(0, 3)
        await asyncio.to_thread(brokers.restart, 0)

        assert here.values == [b"a", b"b", b"c"]
        assert log.lost_records == 0
        assert here.resets == 0


async def test_acknowledged_record_that_an_unclean_election_loses_is_a_fork(
    brokers: ApacheKafka, topic: str, gate: FetchGate, caplog: pytest.LogCaptureFixture
) -> None:
    """A leader without the record takes another one at its offset; the tail tells them apart."""
    cluster = Cluster(brokers.bootstrap_servers, APACHE)
    unclean = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    await create_topic(cluster, topic, [0, 1], unclean)
    here = RecordingReader()
    async with open_log(cluster, topic, here, partitions=1) as log:
        await append_records(log, 0, b"a")
        await asyncio.to_thread(brokers.kill, 1)  # the leader alone has what follows
        await gate.close()
        async with asyncio.timeout(30):
            await (await log.append(0, b"job", b"lost", []))
            await log.read_to(0, 2)
        assert here.values == [b"a", b"lost"]
        brokers.kill(0)
        await asyncio.to_thread(brokers.restart, 1)
        async with write_elsewhere(cluster.bootstrap_servers) as producer, asyncio.timeout(60):
            await producer.send_and_wait(topic, b"kept", partition=0)
        gate.open()
        async with asyncio.timeout(60):
            while here.values != [b"a", b"kept"]:
                await asyncio.sleep(0.01)
            await log.catch_up()

        assert log.lost_records == 1
        assert here.resets == 1
        assert "partition 0 offset 1, with the key job, was acknowledged" in caplog.text


async def test_fetched_record_whose_place_another_one_took_unseen_is_a_fork(
    brokers: ApacheKafka, topic: str, gate: FetchGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new leader has grown beyond the tail's position, so its fetch meets no error."""
    # No gap makes the tail verify the topic: only the new leader does.
    monkeypatch.setattr("fabric_jobs.facade.log.tail.Tail.verify", lambda _: None)
    monkeypatch.setattr("fabric_jobs.facade.log.tail.GAP_S", 1e9)
    await asyncio.to_thread(brokers.restart, 0)  # another test may have killed it
    cluster = Cluster(brokers.bootstrap_servers, APACHE)
    unclean = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    await create_topic(cluster, topic, [2, 1], unclean)
    here = RecordingReader()
    async with open_log(cluster, topic, here, partitions=1) as log:
        await append_records(log, 0, b"a")
        await asyncio.to_thread(brokers.kill, 1)  # the leader alone has what follows
        async with write_elsewhere(cluster.bootstrap_servers) as producer, asyncio.timeout(30):
            await producer.send_and_wait(topic, b"lost", partition=0)
            await log.read_to(0, 2)
        assert here.values == [b"a", b"lost"]
        await gate.close()
        brokers.kill(2)
        await asyncio.to_thread(brokers.restart, 1)
        async with write_elsewhere(cluster.bootstrap_servers) as producer, asyncio.timeout(60):
            for value in (b"b", b"c"):
                await producer.send_and_wait(topic, value, partition=0)
        gate.open()
        async with asyncio.timeout(60):
            while here.values != [b"a", b"b", b"c"]:
                await asyncio.sleep(0.01)
            await log.catch_up()

        assert log.lost_records == 1
        assert here.resets == 1


async def create_topic(
    cluster: Cluster, topic: str, replicas: list[int], configs: dict[str, str]
) -> None:
    """Creates a topic of one partition on these brokers; the first one leads it."""
    spec = topic_spec(topic, partitions=1)
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        configs = {
            "retention.ms": str(spec.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            **configs,
        }
        new = NewTopic(topic, -1, -1, replica_assignments={0: replicas}, topic_configs=configs)
        await admin.create_topics([new])
    finally:
        await admin.close()
