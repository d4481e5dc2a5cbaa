"""The errors of clients that running brokers refuse."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from fabric_jobs.runtime.kafka.clients import (
    KafkaRefusedError,
    client_arguments,
    connect_client,
    stop_client,
)
from fabric_jobs.runtime.settings import KafkaSettings, Secret
from tests.support.apache_kafka import HOST, reserve_port
from tests.support.certificates import Authority
from tests.support.secured_kafka import PASSWORD, SecuredKafka


async def connect(**settings: Any) -> None:
    """Starts a client and stops it."""
    kafka = KafkaSettings(**settings)
    client = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        await connect_client(client, kafka)
    finally:
        await stop_client(client)
        # Clients do not wait for the end of TLS, but the test's loop must end without transports.
        loop: Any = asyncio.get_running_loop()
        async with asyncio.timeout(40):
            while any(transport._sock for transport in loop._transports.values()):
                await asyncio.sleep(0.01)


@pytest.fixture
def sasl(secured: SecuredKafka) -> dict[str, Any]:
    """Returns the settings of a Kafka user that exists."""
    return {
        "kafka_bootstrap_servers": secured.sasl_servers,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_username": "facade",
        "kafka_sasl_password": Secret(PASSWORD),
        "kafka_ssl_ca_file": secured.authority.ca,
    }


@pytest.fixture
def tls(secured: SecuredKafka) -> dict[str, Any]:
    """Returns the settings of a client whose certificate Kafka trusts."""
    client = secured.authority.client("client")
    return {
        "kafka_bootstrap_servers": secured.ssl_servers,
        "kafka_security_protocol": "SSL",
        "kafka_ssl_ca_file": secured.authority.ca,
        "kafka_ssl_cert_file": client.cert,
        "kafka_ssl_key_file": client.key,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_client_with_a_known_user_connects(sasl: dict[str, Any], mechanism: str) -> None:
    """Each SASL mechanism works."""
    await connect(**sasl | {"kafka_sasl_mechanism": mechanism})


async def test_client_with_a_trusted_certificate_connects(tls: dict[str, Any]) -> None:
    """It needs no password."""
    await connect(**tls)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("wrong", ["kafka_sasl_username", "kafka_sasl_password"])
async def test_client_with_a_wrong_user_or_password_gets_an_error_that_names_the_settings(
    sasl: dict[str, Any], mechanism: str, wrong: str
) -> None:
    """The error does not show the password."""
    value: Any = Secret("wrong") if wrong == "kafka_sasl_password" else "wrong"
    with pytest.raises(KafkaRefusedError, match="set FABRIC_JOBS_KAFKA_SASL_USERNAME") as raised:
        await connect(**sasl | {"kafka_sasl_mechanism": mechanism, wrong: value})

    assert PASSWORD not in str(raised.value)


async def test_client_of_brokers_with_an_untrusted_certificate_gets_an_error_that_names_the_setting(
    sasl: dict[str, Any], tmp_path: Path
) -> None:
    """The authority is neither in another file nor among the system's authorities."""
    for file in (Authority(tmp_path).ca, None):
        with pytest.raises(KafkaRefusedError, match="set FABRIC_JOBS_KAFKA_SSL_CA_FILE"):
            await connect(**sasl | {"kafka_ssl_ca_file": file})


async def test_client_without_a_trusted_certificate_gets_an_error_that_names_the_setting(
    tls: dict[str, Any], tmp_path: Path
) -> None:
    """The certificate is missing, or Kafka does not trust its authority."""
    untrusted = Authority(tmp_path).client("client")
    unknown = {"kafka_ssl_cert_file": untrusted.cert, "kafka_ssl_key_file": untrusted.key}
    for changes in (unknown, dict.fromkeys(unknown)):
        with pytest.raises(KafkaRefusedError, match="set FABRIC_JOBS_KAFKA_SSL_CERT_FILE"):
            await connect(**tls | changes)


@pytest.mark.parametrize(
    ("protocol", "listener"),
    [
        ("SSL", "PLAINTEXT"),
        ("SASL_PLAINTEXT", "PLAINTEXT"),
        ("SASL_SSL", "PLAINTEXT"),
        ("PLAINTEXT", "SSL"),
        ("SASL_PLAINTEXT", "SSL"),
        ("PLAINTEXT", "SASL_SSL"),
        ("SSL", "SASL_SSL"),
        ("SASL_PLAINTEXT", "SASL_SSL"),
    ],
)
async def test_client_with_another_protocol_than_the_listener_gets_an_error_that_names_both(
    secured: SecuredKafka, sasl: dict[str, Any], protocol: str, listener: str
) -> None:
    """The error names the setting and the listener's protocol."""
    servers = {
        "PLAINTEXT": secured.bootstrap_servers,
        "SSL": secured.ssl_servers,
        "SASL_SSL": secured.sasl_servers,
    }
    settings = sasl | {
        "kafka_bootstrap_servers": servers[listener],
        "kafka_security_protocol": protocol,
    }
    if not protocol.startswith("SASL"):
        settings |= {"kafka_sasl_username": "", "kafka_sasl_password": None}
    if not protocol.endswith("SSL"):
        settings |= {"kafka_ssl_ca_file": None}
    with pytest.raises(KafkaRefusedError, match=f"speaks {listener}: set FABRIC_JOBS_KAFKA_SEC"):
        await connect(**settings)


async def test_client_of_unreachable_brokers_gets_a_connection_error_and_no_refusal(
    sasl: dict[str, Any],
) -> None:
    """A program waits for the end of an outage, but not for the end of a refusal."""
    with reserve_port() as nobody:
        away = f"{HOST}:{nobody.getsockname()[1]}"
        with pytest.raises(KafkaConnectionError):
            await connect(**sasl | {"kafka_bootstrap_servers": away})


async def test_client_with_one_of_two_brokers_unreachable_connects(sasl: dict[str, Any]) -> None:
    """Brokers are replaced one after the other in a rolling upgrade."""
    with reserve_port() as nobody:
        away = f"{HOST}:{nobody.getsockname()[1]}"
        servers = f"{away},{sasl['kafka_bootstrap_servers']}"
        await connect(**sasl | {"kafka_bootstrap_servers": servers})
