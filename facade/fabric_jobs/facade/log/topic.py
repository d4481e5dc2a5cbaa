"""The topic's making, and the check that an existing one keeps what the design promises."""

from collections.abc import Callable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code
from msgspec import Struct

from fabric_jobs.facade.log.errors import LogUnavailableError, TopicError
from fabric_jobs.runtime.kafka.clients import not_allowed
from fabric_jobs.runtime.settings import KafkaSettings

UNKNOWN_TOPIC = 3
NOT_ALLOWED = TopicAuthorizationFailedError.errno
ALREADY_EXISTS = 36


class TopicSpec(Struct, frozen=True, kw_only=True):
    """What the topic must be."""

    name: str
    partitions: int
    #: Whether the count must be just that: where keys have their places by it.
    exact_partitions: bool
    #: Records must be kept this long.
    min_retention_ms: int
    #: What a topic is made with.
    retention_ms: int
    #: The largest record that must fit.
    max_record_bytes: int
    #: Whether a missing topic is made here.
    create: bool


async def prepare_topic(
    admin: AIOKafkaAdminClient, spec: TopicSpec, settings: KafkaSettings
) -> int:
    """The topic's partition count, once it is there and right.

    Raises `TopicError` and `KafkaRefusedError`.
    """
    servers = settings.kafka_bootstrap_servers
    if not settings.broker.topic_admin:
        # Asking for it makes it, with as many partitions as the broker likes.
        return await _partitions(admin, spec.name, settings) or 0
    count = await _partitions(admin, spec.name, settings)
    if count is None:
        if not spec.create:
            raise TopicError(_missing(spec, servers))
        await _create(admin, spec, settings)
        count = await _partitions(admin, spec.name, settings)
    if count is None:
        # Made a moment ago, and not yet known to the broker that was asked.
        raise LogUnavailableError(f"The topic {spec.name} is being made.")
    faults = [*_partition_faults(count, spec), *await _config_faults(admin, spec, settings)]
    if faults:
        raise TopicError(f"The topic {spec.name} is not fit to keep jobs:\n" + "\n".join(faults))
    return count


async def _partitions(admin: AIOKafkaAdminClient, name: str, settings: KafkaSettings) -> int | None:
    (topic,) = await admin.describe_topics([name])
    code = topic["error_code"]
    if code == UNKNOWN_TOPIC:
        return None
    if code == NOT_ALLOWED:
        raise not_allowed(settings, "Describe", name)
    if code:
        raise LogUnavailableError(f"The topic {name}: {for_code(code).__name__}.")
    return len(topic["partitions"])


def _configs(spec: TopicSpec) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(spec.retention_ms),
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(max(spec.max_record_bytes, 1_048_588)),
        "unclean.leader.election.enable": "false",
    }


async def _create(admin: AIOKafkaAdminClient, spec: TopicSpec, settings: KafkaSettings) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(3, brokers)
    configs = _configs(spec) | {"min.insync.replicas": "2" if replicas == 3 else "1"}
    topic = NewTopic(spec.name, spec.partitions, replicas, topic_configs=configs)
    response = await admin.create_topics([topic])
    for _, code, message in response.topic_errors:
        if code == NOT_ALLOWED:
            raise not_allowed(settings, "Create", spec.name)
        if code and code != ALREADY_EXISTS:
            raise TopicError(f"The topic {spec.name} can't be made: {message}")


def _missing(spec: TopicSpec, servers: str) -> str:
    configs = " ".join(f"--config {name}={value}" for name, value in _configs(spec).items())
    return (
        f"The topic {spec.name} does not exist. Make it by `fabric-jobs check --create`, or have "
        "the facade make it by FABRIC_JOBS_CREATE_TOPICS=true, or make it by hand:\n"
        f"kafka-topics.sh --bootstrap-server {servers} --create --topic {spec.name} "
        f"--partitions {spec.partitions} --replication-factor 3 "
        f"--config min.insync.replicas=2 {configs}"
    )


def _partition_faults(count: int, spec: TopicSpec) -> list[str]:
    if count == spec.partitions or not spec.exact_partitions:
        return []
    return [
        f"It has {count} partitions and {spec.partitions} are expected. A job's partition follows "
        "from the count, so never change that of a topic in use: if it was made so, set "
        f"FABRIC_JOBS_EVENTS_PARTITIONS={count}."
    ]


async def config_of(
    admin: AIOKafkaAdminClient, topic: str, settings: KafkaSettings
) -> dict[str, str]:
    """The configuration of a topic that exists.

    Raises `LogUnavailableError` and `KafkaRefusedError`.
    """
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (response,) = await admin.describe_configs([resource])
    ((code, message, _, _, entries),) = response.resources
    if code == NOT_ALLOWED:
        raise not_allowed(settings, "DescribeConfigs", topic)
    if code:
        raise LogUnavailableError(f"The topic {topic}'s configuration: {message}")
    return {entry[0]: entry[1] for entry in entries}


async def _config_faults(
    admin: AIOKafkaAdminClient, spec: TopicSpec, settings: KafkaSettings
) -> list[str]:
    servers = settings.kafka_bootstrap_servers
    found = await config_of(admin, spec.name, settings)
    faults = []
    for name, (good, wanted, why) in _checks(spec).items():
        if not good(found[name]):
            faults.append(
                f"{name}={found[name]}, but {why}. Mend it:\n"
                f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics "
                f"--entity-name {spec.name} --add-config {name}={wanted}"
            )
    return faults


def _checks(spec: TopicSpec) -> dict[str, tuple[Callable[[str], bool], str, str]]:
    """By configuration: what is good, what to set it to, and why."""
    retention, size = spec.min_retention_ms, spec.max_record_bytes
    return {
        "cleanup.policy": (
            lambda value: value == "delete",
            "delete",
            "compaction lets the loser of a race erase the winner",
        ),
        "retention.ms": (
            lambda value: int(value) == -1 or int(value) >= retention,
            str(spec.retention_ms),
            f"records must be kept for at least {retention} ms",
        ),
        "retention.bytes": (
            lambda value: int(value) == -1,
            "-1",
            "deletion by size would lose records that are needed",
        ),
        "message.timestamp.type": (
            lambda value: value == "LogAppendTime",
            "LogAppendTime",
            "record time must be the broker's",
        ),
        "max.message.bytes": (
            lambda value: int(value) >= size,
            str(size),
            f"the largest record, {size} bytes, must always fit",
        ),
    }
