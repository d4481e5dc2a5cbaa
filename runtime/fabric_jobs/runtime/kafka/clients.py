"""Configures, starts and stops Kafka clients, and explains why Kafka refuses one."""

import asyncio
import time
from asyncio import timeout
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import walk_tb
from typing import Any, Protocol

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from fabric_jobs.runtime.kafka.certificates import FILES, RenewedContext
from fabric_jobs.runtime.kafka.refusals import explain_refusal
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError, variable

#: The least seconds between two requests of a client for the brokers' metadata.
METADATA_INTERVAL_S = 0.25
#: Milliseconds after which a client closes a connection without requests. A NAT or a load balancer
#: may forget a silent connection and tell nobody, some after 4 minutes. On such a connection an
#: append would wait for aiokafka's timeout of 40 s.
MAX_IDLE_MS = 180_000
#: Seconds that a client may take to stop.
STOP_TIMEOUT_S = 5.0


class KafkaRefusedError(Exception):
    """Kafka runs and refuses this program. The message names the setting or ACL to change."""


class Client(Protocol):
    """A consumer, producer or admin client of aiokafka."""

    async def start(self) -> None:
        """Connects to the brokers."""


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Returns the connection arguments of every aiokafka client.

    The TLS files are read for each new connection. While they can't be used, the connection has
    what was read from them before. Raises `SettingsError`.
    """
    protocol = settings.kafka_security_protocol
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
        "connections_max_idle_ms": MAX_IDLE_MS,
    }
    if protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = _require(settings, "kafka_sasl_username")
        arguments["sasl_plain_password"] = _require(settings, "kafka_sasl_password").reveal()
    else:
        _refuse_unused(settings, "SASL_SSL", "kafka_sasl_username", "kafka_sasl_password")
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = RenewedContext(settings)
    else:
        _refuse_unused(settings, "SSL or SASL_SSL", *FILES.values())
    return arguments


def unreachable_text(settings: KafkaSettings, error: Exception) -> str:
    """Returns what to tell people about brokers that can't be reached because of this error."""
    return (
        f"Kafka can't be reached at {settings.kafka_bootstrap_servers}: {error}. Start it, or set "
        "FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
    )


async def connect_client(client: Client, settings: KafkaSettings) -> None:
    """Connects a client to the brokers.

    Raises `KafkaRefusedError` if the brokers refuse the client, and aiokafka's
    `KafkaConnectionError` if no broker is reachable.
    """
    _space_metadata_requests(client)
    try:
        await client.start()
    except BaseException as error:
        _close_first_connection(error)
        if isinstance(error, KafkaConnectionError) and (
            reason := await explain_refusal(settings, client_arguments(settings))
        ):
            raise KafkaRefusedError(reason) from error
        raise


def _close_first_connection(error: BaseException) -> None:
    """Closes the connection by which a client asked for the first metadata.

    If this request is cancelled, aiokafka 0.14 leaves the connection open. Only the frame of
    `AIOKafkaClient.bootstrap` in the error's traceback refers to the connection.
    """
    for frame, _ in walk_tb(error.__traceback__):
        connection = frame.f_locals.get("bootstrap_conn")
        if isinstance(connection, AIOKafkaConnection):
            connection.close()


def _space_metadata_requests(client: Any) -> None:
    """Makes the client wait between two requests for metadata.

    While a broker or a topic is away, aiokafka's loops ask for metadata without any wait, hundreds
    of times a second, and log each failure. It has no option against that.
    """
    inner = _inner(client)
    update = inner._metadata_update
    last_at = float("-inf")

    async def update_later(*arguments: Any) -> Any:
        nonlocal last_at
        if (early_s := last_at + METADATA_INTERVAL_S - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        last_at = time.monotonic()
        return await update(*arguments)

    inner._metadata_update = update_later


async def stop_client(client: Any) -> None:
    """Stops a client. After `STOP_TIMEOUT_S`, or if this is cancelled, abandons the client.

    Without a limit, a client waits for unreachable brokers and for the other side of TLS.
    """
    try:
        with suppress(TimeoutError, KafkaError):
            async with timeout(STOP_TIMEOUT_S):
                await (client.stop() if hasattr(client, "stop") else client.close())
    finally:
        abandon_client(client)


def abandon_client(client: Any) -> None:
    """Ends the tasks and the connections that a client still has; after a complete stop, none.

    If a client's own stop is cut short, it leaves both, and a second call does nothing.
    """

    async def refuse(*_: object, **__: object) -> None:
        """Replaces `AIOKafkaClient._get_conn`, so that no task connects again while it ends."""

    inner = _inner(client)
    inner._get_conn = refuse
    parts = [getattr(client, name, None) for name in ("_fetcher", "_coordinator", "_sender")]
    for part in (inner, *filter(None, parts)):
        for value in vars(part).values():
            for one in value if isinstance(value, set) else (value,):
                if isinstance(one, asyncio.Task):
                    one.cancel()
    for connection in inner._conns.values():
        connection.close()
    inner._conns = _ClosedConnections(inner._conns)


class _ClosedConnections(dict[Any, Any]):
    """The connections of an abandoned client.

    A connection that is still being made when the client is abandoned is closed once it is made.
    Otherwise a producer's batch would go out on it, after the records of the next producer.
    """

    def __setitem__(self, key: Any, connection: Any) -> None:
        connection.close()
        super().__setitem__(key, connection)


def _inner(client: Any) -> Any:
    """The `AIOKafkaClient` inside a consumer, a producer or an admin client."""
    return client._client if hasattr(client, "_client") else client.client


def missing_acl_error(
    settings: KafkaSettings, operation: str, topic: str = "", *, group: str = ""
) -> KafkaRefusedError:
    """Returns the error for a missing ACL. Its message has the command that adds the ACL."""
    kind, name = ("group", group) if group else ("topic", topic)
    user = "ANONYMOUS"
    if settings.kafka_security_protocol.startswith("SASL"):
        user = settings.kafka_sasl_username
    elif settings.kafka_ssl_cert_file:
        user = "SUBJECT-OF-ITS-CERTIFICATE"
    return KafkaRefusedError(
        f"Kafka does not allow this program {operation} on {kind} {name}. Allow it: "
        f"kafka-acls.sh --bootstrap-server {settings.kafka_bootstrap_servers} --add "
        f"--allow-principal User:{user} --operation {operation} --{kind} {name}"
    )


@contextmanager
def map_authorization_errors(
    settings: KafkaSettings, operation: str, topic: str, *, group: str = ""
) -> Iterator[None]:
    """Turns authorization errors of aiokafka inside the block into `KafkaRefusedError`."""
    try:
        yield
    # An idempotent producer needs one operation on the cluster, which Write on the topic implies.
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise missing_acl_error(settings, operation, topic) from error
    except GroupAuthorizationFailedError as error:
        raise missing_acl_error(settings, operation, group=group) from error


def _require(settings: KafkaSettings, name: str) -> Any:
    value = getattr(settings, name)
    if not value:
        raise SettingsError(
            f"{variable('kafka_security_protocol')}={settings.kafka_security_protocol} needs "
            f"{variable(name)}."
        )
    return value


def _refuse_unused(settings: KafkaSettings, needs: str, *names: str) -> None:
    """Refuses settings that the protocol ignores, because their author expects them to work."""
    for name in names:
        if getattr(settings, name):
            raise SettingsError(
                f"{variable(name)} is set, but {variable('kafka_security_protocol')} is "
                f"{settings.kafka_security_protocol}: set that to {needs}."
            )
