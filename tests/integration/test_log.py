"""The log on both brokers, and what only Apache Kafka can show."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from fabric_jobs.facade.log import (
    Checkpoint,
    Log,
    LogForgottenError,
    LogUnavailableError,
    TopicError,
)
from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.conftest import Cluster, no_apache_kafka
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.log_kit import DAY_MS, Memory, put, running, settings, spec

CONFIGURED = {
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "message.timestamp.type",
    "max.message.bytes",
}


async def test_what_was_appended_is_read_by_every_log_in_order(
    cluster: Cluster, topic: str
) -> None:
    """Two logs on one topic read the same records, those of a partition in one order."""
    here, there = Memory(), Memory()
    async with running(cluster, topic, here) as log, running(cluster, topic, there) as other:
        await put(log, 1, b"a", b"b")
        await put(other, 1, b"c")
        async with asyncio.timeout(10):
            await log.read_to_end()
            await other.read_to_end()

        assert here.values == there.values == [b"a", b"b", b"c"]
        assert log.positions == {0: 0, 1: 3, 2: 0, 3: 0}


async def test_the_end_covers_what_was_appended_elsewhere_before_it_was_asked_for(
    cluster: Cluster, topic: str
) -> None:
    """A record acknowledged before the barrier began is read when the barrier returns."""
    here, there = Memory(), Memory()
    async with running(cluster, topic, here) as log, running(cluster, topic, there) as other:
        for number in range(50):
            await put(other, number % 4, b"%d" % number)
            async with asyncio.timeout(10):
                await log.read_to_end()
            assert len(here.records) == number + 1


async def test_a_reader_goes_on_where_it_stood(cluster: Cluster, topic: str) -> None:
    """A second run reads only what came since the first."""
    reader = Memory()
    async with running(cluster, topic, reader) as log:
        await put(log, 0, b"a", b"b")
        async with asyncio.timeout(10):
            await log.read_to_end()
    reader.records.clear()
    async with running(cluster, topic, reader) as log:
        await put(log, 0, b"c")
        async with asyncio.timeout(10):
            await log.read_to(0, 3)

    assert reader.values == [b"c"]
    assert reader.resets == 0


async def test_a_position_ahead_of_the_log_is_waited_for(cluster: Cluster, topic: str) -> None:
    """Nobody is told that a position was read before it was."""
    async with running(cluster, topic, Memory()) as log:
        await put(log, 2, b"a")
        waiting = asyncio.create_task(log.read_to(2, 2))
        async with asyncio.timeout(10):
            await log.read_to(2, 1)
        assert not waiting.done()
        await put(log, 2, b"b")
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
async def test_another_log_than_was_read_before_is_read_anew(
    apache: Cluster, topic: str, checkpoint: Checkpoint
) -> None:
    """A topic that was made anew raises no error by itself: its last record tells."""
    reader = Memory()
    async with running(apache, topic, Memory()) as log:
        await put(log, 0, b"a", b"b")
    reader._checkpoints[0] = checkpoint
    async with running(apache, topic, reader):
        assert reader.values == [b"a", b"b"]
        assert reader.resets == 1


async def test_the_embedded_broker_s_forgetting_ends_the_log(embedded: Cluster, topic: str) -> None:
    """What it dropped can't be read anew: going on would lose jobs silently."""
    reader = Memory()
    reader._checkpoints[0] = Checkpoint(position=90, last_offset=89, last_checksum=0)
    log = Log(settings(embedded, topic), spec(topic))
    await log.connect()
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(20):
            await log.run(reader)

    assert raised.group_contains(LogForgottenError, match="keeps about 5 MB")


async def test_a_missing_topic_is_refused_with_the_command_that_makes_it(
    apache: Cluster, topic: str
) -> None:
    """Without leave to make it, the log says how."""
    log = Log(settings(apache, topic), spec(topic, create=False))
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
async def test_a_wrong_topic_is_refused_with_the_command_that_mends_it(
    apache: Cluster, topic: str, name: str, value: str
) -> None:
    """Each configuration that would lose jobs is named, and the command makes it right."""
    await Log(settings(apache, topic), spec(topic)).connect()
    admin = AIOKafkaAdminClient(bootstrap_servers=apache.bootstrap_servers)
    await admin.start()
    right = await _configuration(admin, topic)
    await _configure(admin, topic, right | {name: value})
    with pytest.raises(TopicError) as raised:
        await Log(settings(apache, topic), spec(topic)).connect()
    (fault,) = str(raised.value).splitlines()[1::2]
    mend = str(raised.value).splitlines()[2].partition("--add-config ")[2].partition("=")
    await _configure(admin, topic, right | {mend[0]: mend[2]})
    await admin.close()

    assert fault.startswith(f"{name}={value}, but ")
    await Log(settings(apache, topic), spec(topic)).connect()


async def test_another_partition_count_is_refused(apache: Cluster, topic: str) -> None:
    """A job's partition follows from the count, so a wrong one would lose sight of jobs."""
    await Log(settings(apache, topic), spec(topic)).connect()
    with pytest.raises(TopicError, match="It has 4 partitions and 7 are expected"):
        await Log(settings(apache, topic), spec(topic, partitions=7)).connect()


async def test_the_log_outlives_its_broker(tmp_path_factory: pytest.TempPathFactory) -> None:
    """While Kafka is away the end can't be told; all recovers by itself, and nothing is lost."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with ApacheKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        cluster, reader = Cluster(kafka.bootstrap_servers, APACHE), Memory()
        async with running(cluster, "test.away", reader) as log:
            await put(log, 0, b"before")
            kafka.kill(0)
            # An append has no deadline of the log's own: it goes through when the broker is back.
            append = asyncio.create_task(_appended(log, b"while away"))
            with pytest.raises((LogUnavailableError, TimeoutError)):
                async with asyncio.timeout(2):
                    await log.read_to_end()
            await asyncio.to_thread(kafka.restart, 0)
            async with asyncio.timeout(60):
                await append
                await put(log, 0, b"after")
                await log.read_to_end()

            assert reader.values == [b"before", b"while away", b"after"]


async def _appended(log: Log, value: bytes) -> None:
    await (await log.append(0, b"key", value, []))


async def _configuration(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (response,) = await admin.describe_configs([resource])
    return {entry[0]: entry[1] for entry in response.resources[0][4] if entry[0] in CONFIGURED}


async def _configure(admin: AIOKafkaAdminClient, topic: str, configs: dict[str, str]) -> None:
    """Sets the configuration, and returns once the broker has taken it over."""
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    async with asyncio.timeout(10):
        while not configs.items() <= (await _configuration(admin, topic)).items():
            await asyncio.sleep(0.01)


async def test_a_plain_topic_of_the_same_name_is_not_taken(apache: Cluster, topic: str) -> None:
    """A topic made by hand with Kafka's defaults has every fault named at once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=apache.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=apache.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(topic, b"somebody's")
    await producer.stop()
    with pytest.raises(TopicError, match=r"retention\.ms=604800000(?s:.*)LogAppendTime"):
        await Log(settings(apache, topic), spec(topic)).connect()
