"""The log on both brokers, and what only Apache Kafka can show."""

import asyncio
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from fabric_jobs.facade.log import (
    Checkpoint,
    Log,
    LogDataLossError,
    LogUnavailableError,
    TopicError,
)
from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.brokers import Cluster, raise_partitions
from tests.support.log_kit import (
    DAY_MS,
    RecordingReader,
    append_records,
    kafka_settings,
    open_log,
    topic_spec,
)
from tests.support.requirements import no_apache_kafka

CONFIGURED = {
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "message.timestamp.type",
    "max.message.bytes",
}


async def test_append_is_read_by_every_log_in_partition_order(cluster: Cluster, topic: str) -> None:
    """Two logs of one topic read the same records, those of a partition in the same order."""
    here, there = RecordingReader(), RecordingReader()
    async with open_log(cluster, topic, here) as log, open_log(cluster, topic, there) as other:
        await append_records(log, 1, b"a", b"b")
        await append_records(other, 1, b"c")
        async with asyncio.timeout(10):
            await log.read_to_end()
            await other.read_to_end()

        assert here.values == there.values == [b"a", b"b", b"c"]
        assert log.positions == {0: 0, 1: 3, 2: 0, 3: 0}


async def test_read_to_end_covers_records_that_another_log_appended_before_the_call(
    cluster: Cluster, topic: str
) -> None:
    """A record that was acknowledged before the call is read when the call returns."""
    here, there = RecordingReader(), RecordingReader()
    async with open_log(cluster, topic, here) as log, open_log(cluster, topic, there) as other:
        for number in range(50):
            await append_records(other, number % 4, b"%d" % number)
            async with asyncio.timeout(10):
                await log.read_to_end()
            assert len(here.records) == number + 1


async def test_append_of_a_record_that_is_too_large_disturbs_no_other_append(
    embedded: Cluster, topic: str
) -> None:
    """A job may be from before the limit was lowered. Its timer then tries for hours."""
    async with open_log(embedded, topic, RecordingReader()) as log:
        producer = await asyncio.shield(log._appender._producer)
        for _ in range(3):
            with pytest.raises(LogUnavailableError, match="MessageSizeTooLarge"):
                await log.append(0, b"key", b"x" * 400_000, [])
            await append_records(log, 0, b"a")

        assert await log._appender._producer is producer


async def test_record_from_before_the_limit_was_lowered_is_appended_if_the_topic_takes_it(
    apache: Cluster, topic: str
) -> None:
    """Such a job can be dispatched again. What the topic does not take disturbs no other append."""
    async with open_log(apache, topic, reader := RecordingReader()) as log:
        producer = await asyncio.shield(log._appender._producer)
        await append_records(log, 0, large := b"x" * (topic_spec(topic).max_record_bytes + 100_000))
        for size in range(1_047_000, 1_050_000, 250):
            with suppress(LogUnavailableError):
                await append_records(log, 0, b"x" * size)
        with pytest.raises(LogUnavailableError, match="MessageSizeTooLarge"):
            await log.append(0, b"key", b"x" * 1_060_000, [])
        async with asyncio.timeout(10):
            await log.read_to_end()

        assert reader.values[0] == large
        assert await log._appender._producer is producer


async def test_reader_continues_at_its_checkpoint(cluster: Cluster, topic: str) -> None:
    """A second run reads only the records after the first run's last."""
    reader = RecordingReader()
    async with open_log(cluster, topic, reader) as log:
        await append_records(log, 0, b"a", b"b")
        async with asyncio.timeout(10):
            await log.read_to_end()
    reader.records.clear()
    async with open_log(cluster, topic, reader) as log:
        await append_records(log, 0, b"c")
        async with asyncio.timeout(10):
            await log.read_to(0, 3)

    assert reader.values == [b"c"]
    assert reader.resets == 0


async def test_read_to_waits_for_a_position_beyond_the_end(cluster: Cluster, topic: str) -> None:
    """The call returns only when the record before the position was read."""
    async with open_log(cluster, topic, RecordingReader()) as log:
        await append_records(log, 2, b"a")
        waiting = asyncio.create_task(log.read_to(2, 2))
        async with asyncio.timeout(10):
            await log.read_to(2, 1)
        assert not waiting.done()
        await append_records(log, 2, b"b")
        async with asyncio.timeout(10):
            await waiting


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint(position=2, last_offset=1, last_checksum=4711),
        Checkpoint(position=90, last_offset=89, last_checksum=0),
    ],
    ids=["another record at the offset", "an offset beyond the end"],
)
async def test_reader_of_a_recreated_topic_is_reset(
    apache: Cluster, topic: str, checkpoint: Checkpoint
) -> None:
    """Kafka raises no error for a topic that was created again; its last record shows it.

    A lost record raises the alert.
    """
    reader = RecordingReader()
    async with open_log(apache, topic, RecordingReader()) as log:
        await append_records(log, 0, b"a", b"b")
    reader._checkpoints[0] = checkpoint
    async with open_log(apache, topic, reader) as log:
        assert reader.values == [b"a", b"b"]
        assert reader.resets == 1
        assert log.lost_records == 1


async def test_log_ends_when_the_embedded_broker_dropped_records(
    embedded: Cluster, topic: str
) -> None:
    """The dropped records can't be read again, so to continue would silently lose jobs."""
    reader = RecordingReader()
    reader._checkpoints[0] = Checkpoint(position=90, last_offset=89, last_checksum=0)
    log = Log(kafka_settings(embedded, topic), topic_spec(topic))
    await log.connect()
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(20):
            await log.run(reader)

    assert raised.group_contains(LogDataLossError, match="keeps about 5 MB")


async def test_connect_refuses_a_missing_topic_with_the_command_that_creates_it(
    apache: Cluster, topic: str
) -> None:
    """Without permission to create the topic, the log says how to."""
    log = Log(kafka_settings(apache, topic), topic_spec(topic, create=False))
    with pytest.raises(TopicError, match=r"kafka-topics\.sh .*--create --topic test\.") as raised:
        await log.connect()

    assert "FABRIC_JOBS_CREATE_TOPICS" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cleanup.policy", "compact"),
        ("retention.ms", str(DAY_MS)),
        ("retention.bytes", "1000000"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
    ],
)
async def test_connect_refuses_a_wrong_configuration_with_the_command_that_corrects_it(
    apache: Cluster, topic: str, name: str, value: str
) -> None:
    """Each configuration that would lose jobs is named, and the named command corrects it."""
    await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()
    admin = AIOKafkaAdminClient(bootstrap_servers=apache.bootstrap_servers)
    await admin.start()
    right = await _configuration(admin, topic)
    await _configure(admin, topic, right | {name: value})
    with pytest.raises(TopicError) as raised:
        await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()
    (fault,) = str(raised.value).splitlines()[1::2]
    command = str(raised.value).splitlines()[2]
    added = command.partition("--add-config ")[2].partition("=")
    await _configure(admin, topic, right | {added[0]: added[2]})
    await admin.close()

    assert fault.startswith(f"{name}={value}, but ")
    await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()


async def test_connect_refuses_fewer_partitions(apache: Cluster, topic: str) -> None:
    """A job's partition follows from the number, so a wrong number would lose sight of jobs."""
    await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()
    with pytest.raises(TopicError, match="It has 4 partitions and 7 are expected"):
        await Log(kafka_settings(apache, topic), topic_spec(topic, partitions=7)).connect()


async def test_log_uses_the_same_partitions_after_their_number_was_raised(
    apache: Cluster, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A running log goes on, and so does one that starts later: no job changes its partition."""
    reader = RecordingReader()
    async with open_log(apache, topic, reader) as log:
        await append_records(log, 3, b"before")
        await raise_partitions(apache, topic, 6)
        await append_records(log, 3, b"after")
        async with asyncio.timeout(10):
            await log.read_to_end()
    async with open_log(apache, topic, later := RecordingReader()) as log:
        assert log.partitions == 4

    assert reader.values == later.values == [b"before", b"after"]
    assert "It has 6 partitions, and facades use the first 4" in caplog.text


async def test_connect_refuses_a_topic_whose_other_partitions_are_in_use(
    apache: Cluster, topic: str
) -> None:
    """A facade with a lower number than the others would not find most of their jobs."""
    async with open_log(apache, topic, RecordingReader(), partitions=6) as log:
        await append_records(log, 5, b"a")
    with pytest.raises(TopicError, match="4 are expected, but partition 5 has records"):
        await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()


async def test_log_recovers_after_its_broker_was_away(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """While Kafka is away the end can't be read; then the log recovers, and no record is lost."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with ApacheKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        cluster, reader = Cluster(kafka.bootstrap_servers, APACHE), RecordingReader()
        async with open_log(cluster, "test.away", reader) as log:
            await append_records(log, 0, b"before")
            kafka.kill(0)
            # The log sets no deadline for an append: it succeeds once the broker is back.
            append = asyncio.create_task(_append(log, b"while away"))
            with pytest.raises((LogUnavailableError, TimeoutError)):
                async with asyncio.timeout(2):
                    await log.read_to_end()
            await asyncio.to_thread(kafka.restart, 0)
            async with asyncio.timeout(60):
                await append
                await append_records(log, 0, b"after")
                await log.read_to_end()

            assert reader.values == [b"before", b"while away", b"after"]


async def _append(log: Log, value: bytes) -> None:
    await (await log.append(0, b"key", value, []))


async def _configuration(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (response,) = await admin.describe_configs([resource])
    return {config[0]: config[1] for config in response.resources[0][4] if config[0] in CONFIGURED}


async def _configure(admin: AIOKafkaAdminClient, topic: str, configs: dict[str, str]) -> None:
    """Sets the configuration, and returns once the broker describes it so."""
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    async with asyncio.timeout(10):
        while not configs.items() <= (await _configuration(admin, topic)).items():
            await asyncio.sleep(0.01)


async def test_connect_refuses_a_topic_with_kafkas_defaults(apache: Cluster, topic: str) -> None:
    """All faults of a topic that was created with Kafka's defaults are named at once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=apache.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=apache.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(topic, b"somebody's")
    await producer.stop()
    with pytest.raises(TopicError, match=r"retention\.ms=604800000(?s:.*)LogAppendTime"):
        await Log(kafka_settings(apache, topic), topic_spec(topic)).connect()
