"""One topic as a log: append to it, read to a position, read to its end."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from fabric_jobs.facade.log.acknowledged import AppendedRecord
from fabric_jobs.facade.log.clients import open_admin_client, start_client
from fabric_jobs.facade.log.codes import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.facade.log.reader import Reader
from fabric_jobs.facade.log.tail import GAP_S, Tail
from fabric_jobs.facade.log.topic import prepare_topic
from fabric_jobs.facade.log.topic_spec import TopicSpec
from fabric_jobs.runtime.kafka.clients import stop_client
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

#: Seconds that a start waits for Kafka before it gives up.
CONNECT_TIMEOUT_S = 60.0
#: Seconds between two looks at the log's end when no caller asks for it.
WATCH_INTERVAL_S = 5.0
#: Seconds that Kafka may take to list its topics.
TOPICS_TIMEOUT_S = 2.0
#: The least time between the beginnings of two looks, in seconds. A look costs about 0.16 ms of the
#: event loop's time, and each read that is not final asks for one: so looks take a tenth of it at
#: most, and all the reads that come meanwhile share the next look.
LOOK_INTERVAL_S = 0.002
#: Seconds after which the log may be read from its beginning again because of another fork.
REREAD_INTERVAL_S = 600.0
#: Seconds after which a tail that makes no progress, with records ahead of it, is restarted.
STALL_TIMEOUT_S = 10.0


class Log:
    """The log of one topic. Call `connect` first; then keep `run` running while the log is used."""

    def __init__(
        self, settings: KafkaSettings, spec: TopicSpec, codes: RecordCodes | None = None
    ) -> None:
        """With `codes`, each appended record gets codes, and each read record is verified."""
        self._settings = settings
        self._spec = spec
        self._codes = codes
        self._appender = Appender(
            settings, spec.name, spec.max_record_bytes, codes, self._apply_acknowledged
        )
        self._tail: Tail | None = None
        self._look_requested = asyncio.Event()
        #: A future for each caller that waits for the next look at the log's end.
        self._next_look: list[asyncio.Future[None]] = []
        self._confirmed_at = float("-inf")
        self._confirmed_generation = -1
        self._reread_at = float("-inf")
        #: Why the log's end can't be reached, and what to do; empty if it can.
        self.fault = ""
        self.partitions = 0
        self.cluster_id = ""

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._spec.name

    async def connect(self, within_s: float = CONNECT_TIMEOUT_S) -> None:
        """Connects to Kafka, and creates the topic or verifies its configuration.

        Raises `TopicError` if the topic can't be used, `KafkaRefusedError` if Kafka refuses, and
        `LogUnavailableError` if Kafka can't be reached within so many seconds.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LogUnavailableError),
            wait=wait_random_exponential(0.2, max=5),
            stop=stop_after_delay(within_s),
            before_sleep=_log_retry,
            reraise=True,
        )
        await retrying(self._connect)

    async def _connect(self) -> None:
        async with open_admin_client(self._settings) as admin:
            topic = await prepare_topic(admin, self._spec, self._settings)
            self.partitions = topic.partitions
            # A job may be from before the limits were lowered, and must fit all the same.
            self._appender.max_record_bytes = topic.max_record_bytes
            self.cluster_id = str((await admin.describe_cluster())["cluster_id"])

    async def run(self, reader: Reader) -> None:
        """Reads the topic into the reader, and serves appends and barriers, until it is cancelled.

        Raises an `ExceptionGroup` of `LogDataLossError` and `KafkaRefusedError`.
        """
        spec = self._spec
        self._tail = Tail(
            self._settings, spec.name, self.partitions, reader, self._codes, spec.max_age_ms
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail.run(), name="tail the log")
            tasks.create_task(self._appender.run(), name="append to the log")
            tasks.create_task(self._watch_end(), name="confirm the log's end")

    async def catch_up(self) -> None:
        """Returns once the log was read to its end; retries while Kafka is away."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LogUnavailableError),
            wait=wait_random_exponential(0.1, max=5),
            before_sleep=_log_retry,
        )
        await retrying(self.read_to_end)

    def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Coroutine[Any, Any, asyncio.Future[object]]:
        """Gives a record to the producer, and returns a future of Kafka's acknowledgement.

        The future is cancelled if the producer fails before Kafka acknowledges: the record may or
        may not be on the log then. Raises `LogUnavailableError` if the producer takes no record.
        """
        return self._appender.append(partition, key, value, headers)

    async def read_to(self, partition: int, position: int) -> None:
        """Returns once all records of the partition before this position (an offset) were read.

        Raises `LogUnavailableError` before `run` was called.
        """
        await self._running_tail.wait_for({partition: position})

    async def read_to_end(self) -> None:
        """Returns once all records were read that the log held when this was called.

        Callers share one look at the log's end. A call during a look waits for the next one,
        because the look under way may have missed the caller's records. Raises
        `LogUnavailableError` if the end can't be reached.
        """
        while True:
            look: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._next_look.append(look)
            self._look_requested.set()
            await look
            # The tail may have begun again since the look: the reader lacks records then.
            if self.caught_up:
                return

    def is_confirmed_within(self, seconds: float) -> bool:
        """Whether all records were read that the log held this many seconds ago."""
        return self.caught_up and self.lag_s <= seconds

    @property
    def lag_s(self) -> float:
        """Seconds since the last look at the log's end whose records have all been read."""
        return time.monotonic() - self._confirmed_at

    @property
    def caught_up(self) -> bool:
        """Whether the log was read to an end since it was last read from its beginning."""
        return self._tail is not None and self._confirmed_generation == self._tail.generation

    def reread(self) -> None:
        """Reads the log from its beginning again, because the reader found a fork.

        The reader may hold a mixture of two logs: of a topic that was deleted, and of the one that
        was made in its place. If the log itself is forked, reading it again does not help. So this
        does nothing while the log is being read again, and within `REREAD_INTERVAL_S` of the last
        time.
        """
        if self.caught_up and time.monotonic() - self._reread_at > REREAD_INTERVAL_S:
            self._reread_at = time.monotonic()
            log.error("the log %s is forked: all of it is read again", self._spec.name)
            self._running_tail.begin_again()

    @property
    def positions(self) -> dict[int, int]:
        """The next offset to read in each partition; raises `LogUnavailableError` before `run`."""
        return self._running_tail.positions

    def accepts(self, record: ConsumerRecord) -> bool:
        """Whether a record of this topic, read by another consumer, has the code it needs."""
        return self._codes is None or self._codes.accepts(self._codes.verify(record))

    @property
    def code_counts(self) -> Counter[CodeVerdict]:
        """The number of records read so far, by what their codes showed; empty without a ring."""
        return self._tail.code_counts if self._tail else Counter()

    @property
    def refused_records(self) -> int:
        """The number of records read so far that were refused because of their codes."""
        if self._codes is None:
            return 0
        accepts = self._codes.accepts
        return sum(count for verdict, count in self.code_counts.items() if not accepts(verdict))

    @property
    def refuses_all_records(self) -> bool:
        """Whether records were refused because of their codes, and none had a right one."""
        return bool(self.refused_records) and not self.code_counts[CodeVerdict.RIGHT]

    @property
    def lost_records(self) -> int:
        """How often this log missed records that Kafka had acknowledged or that it had read."""
        return self._tail.lost_records if self._tail else 0

    def _apply_acknowledged(self, record: AppendedRecord) -> None:
        if self._tail:
            self._tail.acknowledge(record)

    @property
    def _running_tail(self) -> Tail:
        if self._tail is None:
            raise LogUnavailableError("The log is not being read yet.")
        return self._tail

    async def _watch_end(self) -> None:
        # A client of its own: behind a long fetch of the tail's, a request for the end would wait.
        probe = await start_client(self._settings, AIOKafkaConsumer, enable_auto_commit=False)
        try:
            await self._confirm(probe)
        finally:
            await stop_client(probe)

    async def _confirm(self, probe: AIOKafkaConsumer) -> None:
        """Waits for the tail to reach the log's end, when a caller asks for it and at intervals."""
        started_at = float("-inf")
        while True:
            try:
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await self._look_requested.wait()
            except TimeoutError:
                pass  # no caller asked; look at the end anyway, to see whether the tail stalls
            if (early_s := started_at + LOOK_INTERVAL_S - time.monotonic()) > 0:
                await asyncio.sleep(early_s)
            self._look_requested.clear()
            waiting, self._next_look = self._next_look, []
            started_at, generation = time.monotonic(), self._running_tail.generation
            try:
                await self._reach_end(probe)
            except (KafkaError, LogUnavailableError, TimeoutError) as error:
                self._running_tail.verify()
                await self._report_fault(probe, error)
                message = f"The log's end can't be reached: {error!r}."
                for look in waiting:
                    if not look.done():
                        look.set_exception(LogUnavailableError(message))
            else:
                if time.monotonic() - started_at > GAP_S:
                    self._running_tail.verify()
                self._confirmed_at, self._confirmed_generation = started_at, generation
                if self.fault:
                    log.info("the topic %s is read to its end again", self._spec.name)
                    self.fault = ""
                for look in waiting:
                    if not look.done():
                        look.set_result(None)

    async def _report_fault(self, probe: AIOKafkaConsumer, error: Exception) -> None:
        """Logs why the log's end can't be reached, in words that name the topic."""
        servers = self._settings.kafka_bootstrap_servers
        fault = f"Kafka at {servers} does not answer: check its brokers."
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(TOPICS_TIMEOUT_S):
                topics = await probe.topics()
            fault = f"The topic {self._spec.name} can't be read: check its brokers."
            if self._spec.name not in topics:
                fault = (
                    f"The topic {self._spec.name} does not exist any more: create it again, with "
                    "`fabric-jobs check --create`. Its jobs are lost with it."
                )
        if fault != self.fault:
            log.error("%s (%r)", fault, error)
        self.fault = fault

    async def _reach_end(self, probe: AIOKafkaConsumer) -> None:
        """Waits for the tail to pass the log's present end; restarts the tail if it stalls."""
        topic = [TopicPartition(self._spec.name, number) for number in range(self.partitions)]
        async with asyncio.timeout(STALL_TIMEOUT_S):
            ends = await probe.end_offsets(topic)
        goal = {partition.partition: offset for partition, offset in ends.items()}
        while True:
            before = self._running_tail.positions
            try:
                async with asyncio.timeout(STALL_TIMEOUT_S):
                    await self._running_tail.wait_for(goal)
                    return
            except TimeoutError:
                if self._running_tail.positions == before:
                    log.warning("the tail does not read the records ahead of it, and is restarted")
                    self._running_tail.restart()
                    raise


def _log_retry(state: RetryCallState) -> None:
    """Logs the error of a try. The text is a constant, by which `OutageFilter` counts the lines."""
    assert state.outcome is not None
    log.warning("the log can't be used yet: %s", state.outcome.exception())
