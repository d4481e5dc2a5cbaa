"""The Kafka consumer of an executor: a member of its pool's consumer group."""

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import client_arguments


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
    )
