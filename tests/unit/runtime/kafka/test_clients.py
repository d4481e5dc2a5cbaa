"""What each Kafka client is made with, and what is refused before any is made."""

import ssl
from pathlib import Path

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from msgspec.structs import replace

from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.runtime.kafka.clients import (
    KafkaRefusedError,
    client_arguments,
    naming_denials,
    not_allowed,
)
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError, from_env
from tests.support.certificates import Authority
from tests.support.pages import find_commands

SASL = {
    "FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "FABRIC_JOBS_KAFKA_SASL_USERNAME": "alice",
    "FABRIC_JOBS_KAFKA_SASL_PASSWORD": "correct horse",
}


def settings(**changes: str) -> KafkaSettings:
    """Those of a user with a password, with changes."""
    return from_env(KafkaSettings, SASL | {f"FABRIC_JOBS_{k}": v for k, v in changes.items()})


def test_plain_is_the_default() -> None:
    """Nothing is proved, and nothing is encrypted."""
    assert client_arguments(KafkaSettings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_a_user_is_named_with_its_password() -> None:
    """By SCRAM, unless another mechanism is named."""
    assert client_arguments(settings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "correct horse",
    }
    assert client_arguments(settings(KAFKA_SASL_MECHANISM="PLAIN"))["sasl_mechanism"] == "PLAIN"


@pytest.mark.parametrize("ca", [True, False], ids=["own authority", "system's authorities"])
def test_brokers_are_held_to_their_certificates(tmp_path: Path, ca: bool) -> None:
    """Host name included, and never by a protocol of old."""
    file = str(Authority(tmp_path).ca) if ca else ""
    changed = settings(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA_FILE=file)
    context = client_arguments(changed)["ssl_context"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (len(context.get_ca_certs()) == 1) is ca


def test_a_password_is_shown_nowhere() -> None:
    """Neither by the settings nor by itself."""
    shown = settings()

    assert "correct horse" not in f"{shown} {shown!r} {shown.kafka_sasl_password}"
    assert shown == settings() != settings(KAFKA_SASL_PASSWORD="other")


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    """As any setting may."""
    file = tmp_path / "password"
    file.write_text("from a file\n")
    environ = SASL | {
        "FABRIC_JOBS_KAFKA_SASL_PASSWORD": "",
        "FABRIC_JOBS_KAFKA_SASL_PASSWORD_FILE": str(file),
    }
    arguments = client_arguments(from_env(KafkaSettings, environ))

    assert arguments["sasl_plain_password"] == "from a file"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"KAFKA_SASL_USERNAME": ""}, "SASL_PLAINTEXT needs FABRIC_JOBS_KAFKA_SASL_USERNAME"),
        ({"KAFKA_SASL_PASSWORD": ""}, "SASL_PLAINTEXT needs FABRIC_JOBS_KAFKA_SASL_PASSWORD"),
        (
            {"KAFKA_SECURITY_PROTOCOL": ""},
            "SASL_USERNAME is set, but FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL is PLAINTEXT: "
            "set that to SASL_SSL",
        ),
        (
            {"KAFKA_SSL_CA_FILE": "/ca.pem"},
            "SSL_CA_FILE is set, but FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: "
            "set that to SSL or SASL_SSL",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CA_FILE": "/missing.pem"},
            "^FABRIC_JOBS_KAFKA_SSL_CA_FILE=/missing.pem can't be used: ",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CERT_FILE": "/missing.pem"},
            "^FABRIC_JOBS_KAFKA_SSL_CERT_FILE=/missing.pem with the key in the same file can't ",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_KEY_FILE": "/key.pem"},
            "^FABRIC_JOBS_KAFKA_SSL_KEY_FILE is set: set FABRIC_JOBS_KAFKA_SSL_CERT_FILE too",
        ),
    ],
)
def test_what_is_half_said_is_refused_by_name(changes: dict[str, str], message: str) -> None:
    """What would be passed over, too: whoever set it believes that it holds."""
    with pytest.raises(SettingsError, match=message) as raised:
        client_arguments(settings(**changes))

    assert "correct horse" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (TopicAuthorizationFailedError({"jobs"}), "--topic jobs"),
        (ClusterAuthorizationFailedError(), "--topic jobs"),
        (GroupAuthorizationFailedError("pool"), "--group pool"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_denial_names_the_acl_that_is_missing(error: KafkaError, named: str) -> None:
    """For the user that the program is."""
    with (
        pytest.raises(KafkaRefusedError, match=f"User:alice --operation Read {named}$"),
        naming_denials(settings(), "Read", "jobs", group="pool"),
    ):
        raise error


def test_the_docs_show_the_command_that_a_denial_names() -> None:
    """To the letter, for the facade."""
    facade = replace(settings(), kafka_bootstrap_servers="…", kafka_sasl_username="facade")
    (command,) = {one.command for one in find_commands("kafka-acls.sh")}

    assert str(not_allowed(facade, "Read", EVENTS_TOPIC)).endswith(f" Allow it: {command}")
