"""Kafka clients that are started until they run."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential


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
