"""Starts Kafka clients: with retries until they run, or once for administration."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
)
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_random_exponential,
)

from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.runtime.kafka.clients import (
    client_arguments,
    connect_client,
    stop_client,
    unreachable_text,
)
from fabric_jobs.runtime.settings import KafkaSettings


class _Client(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


C = TypeVar("C", bound=_Client)


async def start_client(settings: KafkaSettings, make: Callable[..., C], **arguments: Any) -> C:
    """Makes a client from its class and its arguments, and starts it.

    Retries for as long as Kafka is away. Raises `KafkaRefusedError` if Kafka refuses the
    connection, and `ClusterAuthorizationFailedError` if an ACL is missing.
    """

    async def attempt() -> C:
        client = make(**client_arguments(settings), **arguments)
        try:
            await connect_client(client, settings)
        except BaseException:
            await stop_client(client)
            raise
        return client

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(KafkaError)
        & retry_if_not_exception_type(ClusterAuthorizationFailedError),
        wait=wait_random_exponential(0.1, max=5),
    )
    return await retrying(attempt)


@asynccontextmanager
async def open_admin_client(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, closed at the end of the block. It is started once, without retries.

    Raises `KafkaRefusedError` if Kafka refuses the connection, and `LogUnavailableError` for any
    other error of Kafka's, also for one inside the block.
    """
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        await connect_client(admin, settings)
        yield admin
    except IncompatibleBrokerVersion as error:
        raise LogUnavailableError(
            f"The broker at {settings.kafka_bootstrap_servers} lacks a request that a facade "
            f"needs: {error}. If it is the broker of `fabric-jobs dev`, set "
            "FABRIC_JOBS_KAFKA_BROKER=embedded."
        ) from error
    except KafkaError as error:
        raise LogUnavailableError(unreachable_text(settings, error)) from error
    finally:
        await stop_client(admin)
