"""One topic as a log: append to it, read to a position, read to its end."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from tenacity import (
    AsyncRetrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from fabric_jobs.facade.log.clients import administering, started
from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.facade.log.tail import Reader, Tail
from fabric_jobs.facade.log.topic import TopicSpec, prepare_topic
from fabric_jobs.runtime.kafka.clients import stopped
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

#: How long a start waits for Kafka before it gives up.
CONNECT_S = 60.0
#: How often the log's end is asked for when nobody else asks.
WATCH_S = 5.0
#: A tail that stands still this long with records ahead of it is begun again.
SILENCE_S = 10.0


class Log:
    """The log of one topic. Open it with `connect`, then keep `run` going."""

    def __init__(self, settings: KafkaSettings, spec: TopicSpec) -> None:
        self._settings = settings
        self._spec = spec
        self._appender = Appender(settings, spec.name, spec.max_record_bytes + 4096)
        self._tail: Tail | None = None
        self._asked = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        self._confirmed_at = float("-inf")
        self.partitions = 0
        self.cluster_id = ""

    @property
    def topic(self) -> str:
        """Its name."""
        return self._spec.name

    async def connect(self, within_s: float = CONNECT_S) -> None:
        """Finds Kafka; makes or checks the topic.

        Raises `TopicError`, `KafkaRefusedError` and `LogUnavailableError`.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LogUnavailableError),
            wait=wait_random_exponential(0.2, max=5),
            stop=stop_after_delay(within_s),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        await retrying(self._connect)

    async def _connect(self) -> None:
        async with administering(self._settings) as admin:
            self.partitions = await prepare_topic(admin, self._spec, self._settings)
            self.cluster_id = str((await admin.describe_cluster())["cluster_id"])

    async def run(self, reader: Reader) -> None:
        """Reads into the reader, and serves appends and barriers, until cancelled."""
        self._tail = Tail(self._settings, self._spec.name, self.partitions, reader)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail.run(), name="tail the log")
            tasks.create_task(self._appender.run(), name="append to the log")
            tasks.create_task(self._watch_end(), name="confirm the log's end")

    async def catch_up(self) -> None:
        """Returns once the log was read to its end for the first time."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LogUnavailableError),
            wait=wait_random_exponential(0.1, max=5),
            before_sleep=before_sleep_log(log, logging.WARNING),
        )
        await retrying(self.read_to_end)

    def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Coroutine[Any, Any, asyncio.Future[object]]:
        """Hands a record over; the future ends with Kafka's word, or is cancelled.

        Raises `LogUnavailableError`.
        """
        return self._appender.append(partition, key, value, headers)

    async def read_to(self, partition: int, position: int) -> None:
        """Returns once everything before this position has been read."""
        await self._reading.passed({partition: position})

    async def read_to_end(self) -> None:
        """Returns once everything has been read that the log held when this was called.

        Those who ask while a round is under way share the next one.
        """
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        self._asked.set()
        await asyncio.shield(self._round)

    def confirmed_within(self, seconds: float) -> bool:
        """Whether all that the log held so long ago has been read."""
        return self.lag_s <= seconds

    @property
    def lag_s(self) -> float:
        """Seconds since it was known that all that the log then held has been read."""
        return time.monotonic() - self._confirmed_at

    @property
    def positions(self) -> dict[int, int]:
        """The next offset to be read, by partition."""
        return self._reading.positions

    @property
    def _reading(self) -> Tail:
        if self._tail is None:
            raise LogUnavailableError("The log is not being read yet.")
        return self._tail

    async def _watch_end(self) -> None:
        # A consumer of its own: the tail's connection holds long fetches, behind which it'd wait.
        probe = await started(self._settings, AIOKafkaConsumer, enable_auto_commit=False)
        try:
            await self._confirm(probe)
        finally:
            await stopped(probe.stop())

    async def _confirm(self, probe: AIOKafkaConsumer) -> None:
        """Finds the log's end and waits for the tail to reach it, whenever somebody asks."""
        while True:
            try:
                async with asyncio.timeout(WATCH_S):
                    await self._asked.wait()
            except TimeoutError:
                pass  # nobody asked: the watch over the tail goes on
            self._asked.clear()
            asked, self._round = self._round, None
            begun = time.monotonic()
            try:
                await self._reach_end(probe)
            except (KafkaError, LogUnavailableError, TimeoutError) as error:
                if asked and not asked.done():
                    asked.set_exception(
                        LogUnavailableError(f"The log's end can't be reached: {error!r}.")
                    )
                    asked.exception()  # those who asked may have gone
            else:
                self._confirmed_at = begun
                if asked and not asked.done():
                    asked.set_result(None)

    async def _reach_end(self, probe: AIOKafkaConsumer) -> None:
        topic = [TopicPartition(self._spec.name, number) for number in range(self.partitions)]
        async with asyncio.timeout(SILENCE_S):
            ends = await probe.end_offsets(topic)
        goal = {partition.partition: offset for partition, offset in ends.items()}
        while True:
            before = self._reading.positions
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._reading.passed(goal)
                    return
            except TimeoutError:
                if self._reading.positions == before:
                    log.warning("the tail stands still with records ahead of it")
                    self._reading.restart()
                    raise
