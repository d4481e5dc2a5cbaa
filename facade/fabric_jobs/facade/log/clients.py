"""Kafka clients: started once, or until they run."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_random_exponential,
)

from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.runtime.kafka.clients import client_arguments, start, stopped
from fabric_jobs.runtime.settings import KafkaSettings


class _Client(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


C = TypeVar("C", bound=_Client)


async def started(settings: KafkaSettings, make: Callable[..., C], **arguments: Any) -> C:
    """A client that runs; while Kafka is away, this waits for it.

    Raises `KafkaRefusedError`, and aiokafka's error where Kafka does not allow it.
    """

    async def attempt() -> C:
        client = make(**client_arguments(settings), **arguments)
        try:
            await start(client, settings)
        except BaseException:
            await stopped(client.stop())
            raise
        return client

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(KafkaError)
        & retry_if_not_exception_type(ClusterAuthorizationFailedError),
        wait=wait_random_exponential(0.1, max=5),
    )
    return await retrying(attempt)


@asynccontextmanager
async def administering(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for the topics themselves.

    Raises `KafkaRefusedError` and `LogUnavailableError`.
    """
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        await start(admin, settings)
        yield admin
    except KafkaError as error:
        raise LogUnavailableError(
            f"Kafka can't be reached at {settings.kafka_bootstrap_servers}: {error}. Start it, or "
            "set FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    finally:
        await stopped(admin.close())
