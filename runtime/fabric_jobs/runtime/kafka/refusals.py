"""Why brokers that are there will not have us: asked where a client can't connect.

A client of aiokafka's says only that it can't, and a wrong setting looks to it like an outage.
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

ANSWER_S = 5.0
#: No listener takes it, and one with SASL says so.
_NO_MECHANISM = "NONE"


async def why_refused(settings: KafkaSettings, arguments: Mapping[str, Any]) -> str | None:
    """What is wrong, and what would do; none where a broker takes us, or all are away."""
    reason = None
    for server in settings.kafka_bootstrap_servers.split(","):
        try:
            await _connect(server, arguments)
        except (OSError, KafkaError, TimeoutError) as error:
            reason = reason or await _reason(server, error, settings)
        else:
            return None
    return reason


async def _connect(server: str, arguments: Mapping[str, Any]) -> None:
    """Raises what a client would meet."""
    connecting = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    async with timeout(ANSWER_S):
        connection = await create_conn(*host_port(server.strip()), **connecting)
        try:
            # A listener with SASL answers nothing else before the client has said who it is.
            await connection.send(MetadataRequest([]))
        finally:
            connection.close()


async def _reason(server: str, error: Exception, settings: KafkaSettings) -> str | None:
    match error:
        case SaslAuthenticationFailed():
            return (
                f"Kafka at {server} refuses the user {settings.kafka_sasl_username}: set "
                f"{variable('kafka_sasl_username')}, {variable('kafka_sasl_password')} and "
                f"{variable('kafka_sasl_mechanism')} to what it knows."
            )
        case UnsupportedSaslMechanismError():
            return (
                f"Kafka at {server} does not take {variable('kafka_sasl_mechanism')}="
                f"{settings.kafka_sasl_mechanism}: set it to one that is enabled there."
            )
        case ssl.SSLCertVerificationError():
            return (
                f"The certificate of Kafka at {server} is not trusted ({error.verify_message}): "
                f"set {variable('kafka_ssl_ca_file')} to the PEM file of the authority that signed "
                "it, and name brokers as their certificates do."
            )
    if alert := _alert(error):
        return (
            f"Kafka at {server} does not take this program's certificate ({alert}): set "
            f"{variable('kafka_ssl_cert_file')} to one that it trusts."
        )
    spoken = await _protocol(server)
    if spoken and spoken != settings.kafka_security_protocol:
        return (
            f"Kafka at {server} speaks {spoken}: set {variable('kafka_security_protocol')} to that."
        )
    return None


async def _protocol(server: str) -> str | None:
    """What a listener speaks, in Kafka's words; none where it says nothing that would tell."""
    # Nothing of ours is sent here, so anybody may answer.
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    for tls in (None, anybody):
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
            if _alert(error):  # it asks for a certificate
                return suffix
    return None


def _alert(error: Exception) -> str | None:
    """What the other side of TLS held against ours, if it said so."""
    cause = error.__cause__ or error
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return reason if reason and "ALERT" in reason else None
