"""How every client of ours reaches Kafka, and what becomes of it where Kafka says no."""

import ssl
from asyncio import timeout
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from fabric_jobs.runtime.kafka.refusals import why_refused
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError, variable
from fabric_jobs.runtime.tls import tls_context

#: Seconds that a client's end may take.
STOP_S = 5.0


class KafkaRefusedError(Exception):
    """Kafka is there and says no, and will until somebody mends what the message names."""


class Client(Protocol):
    """A client of aiokafka's."""

    async def start(self) -> None:
        """Finds the brokers."""


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """What each client is made with; the files are read anew. Raises `SettingsError`."""
    protocol = settings.kafka_security_protocol
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism
        arguments["sasl_plain_username"] = _needed(settings, "kafka_sasl_username")
        arguments["sasl_plain_password"] = _needed(settings, "kafka_sasl_password").reveal()
    else:
        _unused(settings, "SASL_SSL", "kafka_sasl_username", "kafka_sasl_password")
    files = {part: f"kafka_ssl_{part}_file" for part in ("ca", "cert", "key")}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = tls_context(ssl.Purpose.SERVER_AUTH, settings, **files)
    else:
        _unused(settings, "SSL or SASL_SSL", *files.values())
    return arguments


async def start(client: Client, settings: KafkaSettings) -> None:
    """Starts a client. Raises `KafkaRefusedError`, or aiokafka's error where Kafka is away."""
    try:
        await client.start()
    except KafkaConnectionError as error:
        # It says that no broker would have us, and not why.
        if reason := await why_refused(settings, client_arguments(settings)):
            raise KafkaRefusedError(reason) from error
        raise


async def stopped(stopping: Awaitable[None]) -> bool:
    """Waits for a client's end, and tells whether it came.

    A client waits for brokers that are away, and for the other side of TLS to say goodbye.
    """
    with suppress(TimeoutError, KafkaError):
        async with timeout(STOP_S):
            await stopping
            return True
    return False


def not_allowed(
    settings: KafkaSettings, operation: str, topic: str = "", *, group: str = ""
) -> KafkaRefusedError:
    """The error for an ACL that is missing, with the command that adds it."""
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
def naming_denials(
    settings: KafkaSettings, operation: str, topic: str, *, group: str = ""
) -> Iterator[None]:
    """Raises `KafkaRefusedError` for what Kafka does not allow inside."""
    try:
        yield
    # Of the cluster's operations we need one, an idempotent producer's, which Write implies.
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise not_allowed(settings, operation, topic) from error
    except GroupAuthorizationFailedError as error:
        raise not_allowed(settings, operation, group=group) from error


def _needed(settings: KafkaSettings, name: str) -> Any:
    value = getattr(settings, name)
    if not value:
        raise SettingsError(
            f"{variable('kafka_security_protocol')}={settings.kafka_security_protocol} needs "
            f"{variable(name)}."
        )
    return value


def _unused(settings: KafkaSettings, needs: str, *names: str) -> None:
    """Refuses what would be passed over: whoever set it believes that it holds."""
    for name in names:
        if getattr(settings, name):
            raise SettingsError(
                f"{variable(name)} is set, but {variable('kafka_security_protocol')} is "
                f"{settings.kafka_security_protocol}: set that to {needs}."
            )
