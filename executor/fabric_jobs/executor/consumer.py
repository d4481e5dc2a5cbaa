"""The Kafka consumer of an executor: a member of its pool's consumer group."""

import asyncio
import time
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import client_arguments

#: Milliseconds after which a consumer asks for the topic's partitions again.
METADATA_MAX_AGE_MS = 5_000


def make_consumer(settings: ExecutorSettings, executor_id: str) -> AIOKafkaConsumer:
    """Returns a consumer that is not started. Raises `SettingsError`."""
    broker, name = settings.broker, settings.executor_name
    return AIOKafkaConsumer(
        **client_arguments(settings),
        client_id=executor_id,
        group_id=settings.pool,
        # Static membership needs a name that stays the same over restarts. Under a new name after
        # each restart, the group would wait for the old member until its session times out.
        group_instance_id=f"{settings.pool}.{name}" if name else None,
        # One assignor only, because aiokafka joins the group once for each.
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=broker.session_timeout_ms,
        rebalance_timeout_ms=broker.session_timeout_ms,
        # A heartbeat tells a member that another one joins. A rebalance waits for every member, so
        # the longest interval between heartbeats delays it.
        heartbeat_interval_ms=min(3_000, broker.session_timeout_ms // 3),
        fetch_max_wait_ms=broker.fetch_max_wait_ms,
        # A group learns only from the metadata that its topic was made anew, and the default is
        # five minutes.
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )


async def seek_uncommitted(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> None:
    """Seeks the start in those partitions for which the pool has committed no position.

    The start is the first record that may dispatch a job which has not failed yet, or else the end.
    Raises aiokafka's `KafkaError`.
    """
    ordered = list(partitions)
    committed = await asyncio.gather(*map(consumer.committed, ordered))
    uncommitted = [
        partition
        for partition, position in zip(ordered, committed, strict=True)
        if position is None
    ]
    if not uncommitted:
        return
    # Before the look-up by time: in the other order a record that is appended between the two
    # requests would be skipped.
    ends = await consumer.end_offsets(uncommitted)
    # A job that was requested longer ago has started, or has failed by its start deadline.
    since_ms = int((time.time() - START_DEADLINE.total_seconds()) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(uncommitted, since_ms))
    for partition in uncommitted:
        at = found[partition]
        consumer.seek(partition, at.offset if at else ends[partition])
