"""The producer that appends records: what it promises to callers."""

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from fabric_jobs.facade.log import producer
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.runtime.kafka.clients import client_arguments
from fabric_jobs.runtime.settings import KafkaSettings


async def test_producer_waits_for_every_in_sync_replica_and_writes_no_record_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job that was accepted would otherwise be lost with one broker."""

    async def make_client(settings: KafkaSettings, make: Any, **arguments: Any) -> Any:
        return make(**client_arguments(settings), **arguments)

    monkeypatch.setattr(producer, "start_client", make_client)
    made: AIOKafkaProducer = await Appender(KafkaSettings(), "t", 1000)._start_producer()
    every_replica, is_idempotent = made._sender._acks == -1, made._txn_manager is not None
    await made.stop()

    assert (every_replica, is_idempotent) == (True, True)
