"""The Kafka consumer of an executor: a member of its pool's consumer group."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import BrokerResponseError, KafkaError, kafka_errors

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.settings import variable

#: Milliseconds after which a consumer asks for the topic's partitions again.
METADATA_MAX_AGE_MS = 5_000


log = logging.getLogger("fabric_jobs.executor")


class Assignor(RoundRobinPartitionAssignor):  # type: ignore[misc] # aiokafka is untyped
    """Assigns partitions in turn, and warns if the group's members read different topics."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> Any:
        """Assigns the partitions; Kafka asks one member of the group to do it for all."""
        topics = {topic for member in members.values() for topic in member.subscription}
        if len(topics) > 1:
            log.warning(
                "intake: the executors of this pool read different topics (%s), so jobs start "
                "late. Set the same %s and %s for all of a pool's executors, or give each "
                "installation its own pool (%s)",
                ", ".join(sorted(topics)),
                *map(variable, ("kafka_prefix", "events_topic", "pool")),
            )
        return super().assign(cluster, members)


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc] # aiokafka is untyped
    """Another member joined the group under this member's name. aiokafka lacks this error."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member of the group has the same static name."


kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError
#: The least changes of a member id, and the seconds for them, that show a name used twice. A member
#: that was silent for a session timeout gets a new id too, and has none so often.
MIN_ID_CHANGES = 3
ID_CHANGES_S = 120.0


class NameGuard:
    """Finds out that another executor of the pool has the same static name.

    Each of the two takes the group's membership from the other, for ever. A broker tells it by an
    error of its own, or, to requests without the name, as if the member were unknown: aiokafka then
    joins again under a new member id.
    """

    def __init__(self, settings: ExecutorSettings, executor_id: str) -> None:
        self._settings = settings
        #: Changes of the member id after which this executor ends. It differs between executors, so
        #: that mostly one of the two ends, and the other goes on.
        self._max_changes = MIN_ID_CHANGES + 2 * (crc32(executor_id.encode()) % 8)
        self._member_id = ""
        self._changed_at = deque[float]()
        self._taken = asyncio.Event()

    def forget(self) -> None:
        """Starts anew with a new consumer."""
        self._member_id = ""
        self._changed_at.clear()

    def note(self, consumer: AIOKafkaConsumer) -> None:
        """Notes the member id under which the consumer has joined the group now."""
        member_id = str(consumer._coordinator.member_id)
        if not self._settings.executor_name or member_id == self._member_id:
            return
        now = time.monotonic()
        if self._member_id:
            self._changed_at.append(now)
        self._member_id = member_id
        while self._changed_at and now - self._changed_at[0] > ID_CHANGES_S:
            self._changed_at.popleft()
        if len(self._changed_at) >= self._max_changes:
            self._taken.set()

    async def wait(self) -> None:
        """Raises `KafkaRefusedError` once the name turns out to be another executor's too."""
        await self._taken.wait()
        raise self._refusal()

    @contextmanager
    def map_error(self) -> Iterator[None]:
        """Raises `KafkaRefusedError` for the broker's own error."""
        try:
            yield
        except KafkaError as error:
            # aiokafka raises a plain `KafkaError` with the broker's error in its text.
            if FencedInstanceIdError.__name__ in repr(error):
                raise self._refusal() from error
            raise

    def _refusal(self) -> KafkaRefusedError:
        return KafkaRefusedError(
            f"Another executor of the pool {self._settings.pool} has the name "
            f"{self._settings.executor_name} too, so this one ends. Give each executor of a pool a "
            f"name of its own ({variable('executor_name')}), or none."
        )


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
        partition_assignment_strategy=(Assignor,),
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
