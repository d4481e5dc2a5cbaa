"""Finds out why a broker that is running refuses a client.

aiokafka reports only that it cannot connect, so a wrong setting looks like an outage.
"""

import ssl
from asyncio import timeout
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from fabric_jobs.runtime.settings import KafkaSettings, host_port, variable
from fabric_jobs.runtime.tls import require_tls_1_2

ANSWER_TIMEOUT_S = 5.0
#: A SASL mechanism that no listener supports. A listener with SASL answers that it is unsupported.
_NO_MECHANISM = "NONE"
#: The arguments of a client that one connection does not take.
_OF_CLIENTS = ("bootstrap_servers", "connections_max_idle_ms")


async def explain_refusal(settings: KafkaSettings, arguments: Mapping[str, Any]) -> str | None:
    """Returns why the brokers refuse a client with these arguments, and which setting to change.

    Returns None if one broker accepts the client, or if no broker is running.
    """
    reason = None
    for server in settings.kafka_bootstrap_servers.split(","):
        try:
            await _connect(server, arguments)
        except (OSError, KafkaError, TimeoutError) as error:
            reason = reason or await _explain(server, error, settings)
        else:
            return None
    return reason


async def _connect(server: str, arguments: Mapping[str, Any]) -> None:
    """Connects once, as a client would, and raises the client's error."""
    arguments = {name: value for name, value in arguments.items() if name not in _OF_CLIENTS}
    async with timeout(ANSWER_TIMEOUT_S):
        connection = await create_conn(*host_port(server.strip()), **arguments)
        try:
            # Without SASL, only an answer proves that the listener speaks this protocol.
            await connection.send(MetadataRequest([]))
        finally:
            connection.close()


async def _explain(server: str, error: Exception, settings: KafkaSettings) -> str | None:
    match error:
        case SaslAuthenticationFailed():
            return (
                f"Kafka at {server} rejects the user {settings.kafka_sasl_username}: set "
                f"{variable('kafka_sasl_username')}, {variable('kafka_sasl_password')} and "
                f"{variable('kafka_sasl_mechanism')} to a user that exists there."
            )
        case UnsupportedSaslMechanismError():
            return (
                f"Kafka at {server} does not support {variable('kafka_sasl_mechanism')}="
                f"{settings.kafka_sasl_mechanism}: set it to a mechanism that is enabled there."
            )
        case ssl.SSLCertVerificationError():
            return (
                f"The certificate of Kafka at {server} is not trusted ({error.verify_message}): "
                f"set {variable('kafka_ssl_ca_file')} to the PEM file of the authority that signed "
                "it, and use the broker host names that the certificates contain."
            )
    if alert := _tls_alert(error):
        return (
            f"Kafka at {server} rejects this program's certificate ({alert}): set "
            f"{variable('kafka_ssl_cert_file')} to a certificate that Kafka trusts."
        )
    protocol = await _detect_protocol(server)
    if protocol and protocol != settings.kafka_security_protocol:
        return (
            f"Kafka at {server} speaks {protocol}: set {variable('kafka_security_protocol')} to "
            f"{protocol}."
        )
    return None


async def _detect_protocol(server: str) -> str | None:
    """Returns the listener's `security.protocol`, or None if its answers do not show it."""
    # The probe sends no secret, so it accepts any certificate.
    unverified = ssl.create_default_context()
    require_tls_1_2(unverified)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for tls in (None, unverified):
        suffix = "SSL" if tls else "PLAINTEXT"
        try:
            await _connect(
                server,
                {
                    "security_protocol": f"SASL_{suffix}",
                    "sasl_mechanism": _NO_MECHANISM,
                    "ssl_context": tls,
                },
            )
        except UnsupportedSaslMechanismError:
            return f"SASL_{suffix}"
        except IllegalSaslStateError:
            return suffix
        except (OSError, KafkaError, TimeoutError) as error:
            if _tls_alert(error):  # the listener speaks TLS and requires a client certificate
                return suffix
    return None


def _tls_alert(error: Exception) -> str | None:
    """Returns the TLS alert by which the broker rejected the connection, if it sent one."""
    cause = error.__cause__ or error
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return reason if reason and "ALERT" in reason else None
