"""Kafka clients: started once, or until they run."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.settings import KafkaSettings
from facade.log.errors import LogUnavailableError


class _Client(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


C = TypeVar("C", bound=_Client)


async def started(make: Callable[[], C]) -> C:
    """A client that runs; while Kafka is away, this waits for it."""

    async def attempt() -> C:
        client = make()
        try:
            await client.start()
        except BaseException:
            await client.stop()
            raise
        return client

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(KafkaError), wait=wait_random_exponential(0.1, max=5)
    )
    return await retrying(attempt)


@asynccontextmanager
async def administering(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for the topics themselves. Raises `LogUnavailableError`."""
    servers = settings.kafka_bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        raise LogUnavailableError(
            f"Kafka can't be reached at {servers}: {error}. Start it, or set "
            "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    finally:
        await admin.close()
