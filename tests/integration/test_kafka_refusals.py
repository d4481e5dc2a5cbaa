"""What a client is told whom brokers that are there will not have."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments, start, stopped
from fabric_jobs.runtime.settings import KafkaSettings, Secret
from tests.support.apache_kafka import HOST, reserve_port
from tests.support.certificates import Authority
from tests.support.secured_kafka import PASSWORD, SecuredKafka


async def connect(**settings: Any) -> None:
    """Starts a client, and stops it."""
    kafka = KafkaSettings(**settings)
    client = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        await start(client, kafka)
    finally:
        await stopped(client.close())
        # Clients don't wait for TLS to say goodbye, and a test's loop ends with the test.
        loop: Any = asyncio.get_running_loop()
        async with asyncio.timeout(40):
            while any(transport._sock for transport in loop._transports.values()):
                await asyncio.sleep(0.01)


@pytest.fixture
def sasl(secured: SecuredKafka) -> dict[str, Any]:
    """The settings of a user that is known."""
    return {
        "kafka_bootstrap_servers": secured.sasl_servers,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_username": "facade",
        "kafka_sasl_password": Secret(PASSWORD),
        "kafka_ssl_ca_file": secured.authority.ca,
    }


@pytest.fixture
def tls(secured: SecuredKafka) -> dict[str, Any]:
    """The settings of a client that is known by its certificate."""
    client = secured.authority.client("client")
    return {
        "kafka_bootstrap_servers": secured.ssl_servers,
        "kafka_security_protocol": "SSL",
        "kafka_ssl_ca_file": secured.authority.ca,
        "kafka_ssl_cert_file": client.cert,
        "kafka_ssl_key_file": client.key,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_user_that_is_known_is_let_in(sasl: dict[str, Any], mechanism: str) -> None:
    """By each of the mechanisms."""
    await connect(**sasl | {"kafka_sasl_mechanism": mechanism})


async def test_a_certificate_that_is_known_is_let_in(tls: dict[str, Any]) -> None:
    """Without a password."""
    await connect(**tls)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("wrong", ["kafka_sasl_username", "kafka_sasl_password"])
async def test_a_wrong_user_is_told_what_to_set(
    sasl: dict[str, Any], mechanism: str, wrong: str
) -> None:
    """And the password is not shown."""
    value: Any = Secret("wrong") if wrong == "kafka_sasl_password" else "wrong"
    with pytest.raises(KafkaRefusedError, match="set FABRIC_JOBS_KAFKA_SASL_USERNAME") as raised:
        await connect(**sasl | {"kafka_sasl_mechanism": mechanism, wrong: value})

    assert PASSWORD not in str(raised.value)


async def test_brokers_of_another_authority_are_not_trusted(
    sasl: dict[str, Any], tmp_path: Path
) -> None:
    """Neither by another file nor by the system's authorities."""
    for file in (Authority(tmp_path).ca, None):
        with pytest.raises(KafkaRefusedError, match="set FABRIC_JOBS_KAFKA_SSL_CA_FILE"):
            await connect(**sasl | {"kafka_ssl_ca_file": file})


async def test_a_certificate_that_is_missing_or_unknown_is_told_of(
    tls: dict[str, Any], tmp_path: Path
) -> None:
    """By the setting that would have it."""
    stranger = Authority(tmp_path).client("client")
    unknown = {"kafka_ssl_cert_file": stranger.cert, "kafka_ssl_key_file": stranger.key}
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
async def test_another_protocol_than_the_listener_s_is_told_of(
    secured: SecuredKafka, sasl: dict[str, Any], protocol: str, listener: str
) -> None:
    """With the one that it speaks."""
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


async def test_brokers_that_are_away_refuse_nobody(sasl: dict[str, Any]) -> None:
    """An outage is waited for, whatever else may be wrong."""
    with reserve_port() as nobody:
        away = f"{HOST}:{nobody.getsockname()[1]}"
        with pytest.raises(KafkaConnectionError):
            await connect(**sasl | {"kafka_bootstrap_servers": away})


async def test_one_broker_that_lets_a_client_in_is_enough(sasl: dict[str, Any]) -> None:
    """As where brokers are replaced one after the other."""
    with reserve_port() as nobody:
        away = f"{HOST}:{nobody.getsockname()[1]}"
        servers = f"{away},{sasl['kafka_bootstrap_servers']}"
        await connect(**sasl | {"kafka_bootstrap_servers": servers})
