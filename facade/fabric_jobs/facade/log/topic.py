"""Creates the topic, or verifies that the configuration of an existing one loses no job."""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from fabric_jobs.facade.log.errors import LogUnavailableError, TopicError
from fabric_jobs.facade.log.partition_count import explain_unused, find_partition_faults
from fabric_jobs.facade.log.topic_spec import TopicSpec
from fabric_jobs.runtime.kafka.clients import missing_acl_error
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

# Kafka's error codes.
UNKNOWN_TOPIC = 3
NOT_ALLOWED = TopicAuthorizationFailedError.errno
ALREADY_EXISTS = 36
#: Bytes that the client adds to a record in a request, at most.
MAX_OVERHEAD_BYTES = 4096
#: How much larger than required the records of a new topic may be. So larger limits and sealing can
#: be introduced later without a change of the topic.
NEW_TOPIC_ROOM = 2


class UsableTopic(NamedTuple):
    """What a topic is that meets its requirements."""

    #: The number of partitions that are used, from 0 on.
    partitions: int
    #: The size of the largest record, in bytes: at least that of the requirements.
    max_record_bytes: int


async def prepare_topic(
    admin: AIOKafkaAdminClient, spec: TopicSpec, settings: KafkaSettings
) -> UsableTopic:
    """Creates the topic if it is missing, and verifies it.

    Raises `TopicError` if it is missing or wrongly configured, `KafkaRefusedError` if an ACL is
    missing, and `LogUnavailableError` if the broker does not know the new topic yet.
    """
    servers = settings.kafka_bootstrap_servers
    count = await _count_partitions(admin, spec.name, settings)
    if not settings.broker.topic_admin:
        # The embedded broker creates a topic on the first request, with its own number of
        # partitions.
        return UsableTopic(count or 0, spec.max_record_bytes)
    if count is None:
        if not spec.create:
            raise TopicError(_explain_missing(spec, servers))
        await _create(admin, spec, settings)
        count = await _count_partitions(admin, spec.name, settings)
    if count is None:
        raise new_topic_error(spec.name)
    config = await describe_config(admin, spec.name, settings)
    faults = [
        *await find_partition_faults(count, spec, settings),
        *_find_config_faults(config, spec, servers),
    ]
    if faults:
        raise TopicError(f"The topic {spec.name} is wrongly configured:\n" + "\n".join(faults))
    used = spec.partitions if spec.exact_partitions else count
    if count > used:
        log.warning("the topic %s: %s", spec.name, explain_unused(count, spec))
    room = int(config["max.message.bytes"]) - MAX_OVERHEAD_BYTES
    return UsableTopic(used, max(room, spec.max_record_bytes))


async def _count_partitions(
    admin: AIOKafkaAdminClient, name: str, settings: KafkaSettings
) -> int | None:
    """The topic's number of partitions; None if it does not exist."""
    (topic,) = await admin.describe_topics([name])
    code = topic["error_code"]
    if code == UNKNOWN_TOPIC:
        return None
    if code == NOT_ALLOWED:
        raise missing_acl_error(settings, "Describe", name)
    if code:
        raise LogUnavailableError(
            f"Kafka can't describe the topic {name}: {for_code(code).__name__}."
        )
    return len(topic["partitions"])


def _new_topic_config(spec: TopicSpec) -> dict[str, str]:
    if spec.retention_ms is None:
        cleanup = {"cleanup.policy": "compact"}
    else:
        cleanup = {
            "cleanup.policy": "delete",
            "retention.ms": str(spec.retention_ms),
            "retention.bytes": "-1",
        }
        if spec.erasure_ms is not None:
            cleanup |= {
                "cleanup.policy": "compact,delete",
                "max.compaction.lag.ms": str(spec.erasure_ms),
                "segment.ms": str(spec.erasure_ms),
            }
    return {
        **cleanup,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(max(NEW_TOPIC_ROOM * spec.max_record_bytes, 1_048_588)),
        "unclean.leader.election.enable": "false",
    }


async def _create(admin: AIOKafkaAdminClient, spec: TopicSpec, settings: KafkaSettings) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(3, brokers)
    configs = _new_topic_config(spec) | {"min.insync.replicas": "2" if replicas == 3 else "1"}
    topic = NewTopic(spec.name, spec.partitions, replicas, topic_configs=configs)
    response = await admin.create_topics([topic])
    for _, code, message in response.topic_errors:
        if code == NOT_ALLOWED:
            raise missing_acl_error(settings, "Create", spec.name)
        if code and code != ALREADY_EXISTS:
            raise TopicError(f"The topic {spec.name} can't be created: {message}")


def _explain_missing(spec: TopicSpec, servers: str) -> str:
    configs = " ".join(
        f"--config {name}={value}" for name, value in _new_topic_config(spec).items()
    )
    return (
        f"The topic {spec.name} does not exist. Create it by `fabric-jobs check --create`, or set "
        "FABRIC_JOBS_CREATE_TOPICS=true so that the facade creates it, or create it by hand:\n"
        f"kafka-topics.sh --bootstrap-server {servers} --create --topic {spec.name} "
        f"--partitions {spec.partitions} --replication-factor 3 "
        f"--config min.insync.replicas=2 {configs}"
    )


def new_topic_error(name: str) -> LogUnavailableError:
    """The error for a topic that was just created and that the asked broker does not know yet."""
    return LogUnavailableError(f"The topic {name} is being created.")


async def describe_config(
    admin: AIOKafkaAdminClient, topic: str, settings: KafkaSettings
) -> dict[str, str]:
    """The configuration of an existing topic, as names and values.

    Raises `LogUnavailableError` if Kafka gives none, and `KafkaRefusedError` if an ACL is missing.
    """
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    (response,) = await admin.describe_configs([resource])
    ((code, message, _, _, configs),) = response.resources
    if code == NOT_ALLOWED:
        raise missing_acl_error(settings, "DescribeConfigs", topic)
    if code:
        raise LogUnavailableError(f"Kafka can't describe the configuration of {topic}: {message}")
    return {config[0]: config[1] for config in configs}


def _find_config_faults(found: Mapping[str, str], spec: TopicSpec, servers: str) -> list[str]:
    faults = []
    for name, (is_valid, wanted, why) in _requirements(spec).items():
        if not is_valid(found[name]):
            faults.append(
                f"{name}={found[name]}, but {why}. Correct it:\n"
                f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics "
                f"--entity-name {spec.name} --add-config {name}={wanted}"
            )
    return faults


def _requirements(spec: TopicSpec) -> dict[str, tuple[Callable[[str], bool], str, str]]:
    """For each configuration: whether a value is valid, the value to set, and the reason."""
    size = spec.max_record_bytes
    return {
        **_cleanup_requirements(spec),
        "message.timestamp.type": (
            lambda value: value == "LogAppendTime",
            "LogAppendTime",
            "the time of a record must be the broker's",
        ),
        "max.message.bytes": (
            lambda value: int(value) >= size,
            str(size),
            f"the largest record, {size} bytes, must always fit",
        ),
    }


def _cleanup_requirements(spec: TopicSpec) -> dict[str, tuple[Callable[[str], bool], str, str]]:
    retention = spec.min_retention_ms
    if retention is None:
        why = "deletion by age would lose what operators have set"
        return {"cleanup.policy": (lambda value: value == "compact", "compact", why)}
    cleanup: dict[str, tuple[Callable[[str], bool], str, str]] = {
        "cleanup.policy": (
            lambda value: value == "delete",
            "delete",
            "compaction lets the loser of a race erase the winner",
        )
    }
    if erasure := spec.erasure_ms:
        cleanup = {
            "cleanup.policy": (
                lambda value: set(value.replace(" ", "").split(",")) == {"compact", "delete"},
                "[compact,delete]",
                "what was replaced or deleted must be erased, and so must what is too old",
            ),
            "max.compaction.lag.ms": (
                lambda value: int(value) <= erasure,
                str(erasure),
                f"what was replaced or deleted must be erased within {erasure} ms",
            ),
        }
    return cleanup | {
        "retention.ms": (
            lambda value: int(value) == -1 or int(value) >= retention,
            str(spec.retention_ms),
            f"records must be kept for at least {retention} ms: {spec.min_retention_reason}",
        ),
        "retention.bytes": (
            lambda value: int(value) == -1,
            "-1",
            "deletion by size would lose records of living jobs",
        ),
    }
