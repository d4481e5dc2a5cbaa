"""The arguments of Kafka clients, and the errors of unusable settings and missing ACLs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from msgspec.structs import replace

from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.runtime.kafka.certificates import current_context
from fabric_jobs.runtime.kafka.clients import (
    KafkaRefusedError,
    client_arguments,
    map_authorization_errors,
    missing_acl_error,
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
    """Returns the settings of a user with a password, with these changes."""
    return from_env(KafkaSettings, SASL | {f"FABRIC_JOBS_{k}": v for k, v in changes.items()})


def test_client_arguments_by_default_are_plaintext() -> None:
    """There is no authentication and no encryption."""
    assert client_arguments(KafkaSettings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "connections_max_idle_ms": 180_000,
        "security_protocol": "PLAINTEXT",
    }


def test_client_arguments_with_sasl_have_user_and_password() -> None:
    """The mechanism is SCRAM-SHA-512 unless the settings name another."""
    assert client_arguments(settings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "connections_max_idle_ms": 180_000,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "correct horse",
    }
    assert client_arguments(settings(KAFKA_SASL_MECHANISM="PLAIN"))["sasl_mechanism"] == "PLAIN"


@pytest.mark.parametrize("ca", [True, False], ids=["own authority", "system's authorities"])
def test_client_arguments_with_ssl_verify_certificate_and_host_name(
    tmp_path: Path, ca: bool
) -> None:
    """TLS 1.2 is the lowest version."""
    file = str(Authority(tmp_path).ca) if ca else ""
    changed = settings(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA_FILE=file)
    context = current_context(changed).context

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (len(context.get_ca_certs()) == 1) is ca


def test_context_while_the_files_are_damaged_is_the_one_that_was_read_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A running program connects again with it and says so once; at a start it is refused."""
    authority = Authority(tmp_path)
    changed = settings(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA_FILE=str(authority.ca))
    first = current_context(changed).context
    good = authority.ca.read_bytes()
    authority.ca.write_bytes(b"garbage")
    for _ in range(3):
        assert current_context(changed).context is first
    assert ["certificates that were read before" in line for line in caplog.messages] == [True]
    copy = tmp_path / "copy.pem"
    copy.write_bytes(b"garbage")
    with pytest.raises(SettingsError, match="KAFKA_SSL_CA_FILE"):
        client_arguments(settings(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA_FILE=str(copy)))

    authority.ca.write_bytes(good)
    renewed = current_context(changed).context
    assert renewed is not first
    authority.ca.unlink()
    assert current_context(changed).context is renewed


def test_context_of_unchanged_files_is_loaded_once(tmp_path: Path) -> None:
    """The system's authorities take 20 ms of the event loop's time."""
    file = Authority(tmp_path).ca
    for ca in ("", str(file)):
        changed = settings(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA_FILE=ca)
        assert current_context(changed) is current_context(changed)
    before = current_context(changed)
    file.write_bytes(Authority(tmp_path / "other").ca.read_bytes())

    assert current_context(changed).context is not before.context


def test_context_does_not_show_the_private_key(tmp_path: Path) -> None:
    """A report of an error may have the text of each local variable."""
    authority = Authority(tmp_path)
    own = authority.client("client")
    files = {"CA": authority.ca, "CERT": own.cert, "KEY": own.key}
    changed = settings(
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        **{f"KAFKA_SSL_{part}_FILE": str(path) for part, path in files.items()},
    )

    assert "PRIVATE KEY" not in repr(current_context(changed))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_each_connection_of_a_client_uses_the_tls_files_of_its_time(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A client goes on when the brokers and its own certificate are of a new authority."""
    files = [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
    arguments = dict[str, Any]()

    async def connect(authority: Authority) -> None:
        own = authority.client("client")
        for file, source in zip(files, (authority.ca, own.cert, own.key), strict=True):
            file.write_bytes(source.read_bytes())
        if not arguments:
            arguments.update(client_arguments(KafkaSettings(**mutual)))
        async with serve_tls(authority) as port:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=arguments["ssl_context"]
            )
            assert await reader.read() == b"accepted"
            writer.close()

    mutual: dict[str, Any] = {"kafka_security_protocol": "SSL"} | dict(
        zip(("kafka_ssl_ca_file", "kafka_ssl_cert_file", "kafka_ssl_key_file"), files, strict=True)
    )
    with asyncio.Runner(loop_factory=new_loop) as runner:
        for name in ("old", "new"):
            runner.run(connect(Authority(tmp_path / name)))


@asynccontextmanager
async def serve_tls(authority: Authority) -> AsyncIterator[int]:
    """Accepts the clients of an authority, and says so to each. Yields the port."""
    server = authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    context.load_cert_chain(server.cert, server.key)
    context.verify_mode = ssl.CERT_REQUIRED

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"accepted")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


def test_settings_with_a_password_do_not_show_it() -> None:
    """Their text and the secret's text hide it, and they still compare by it."""
    secret = settings()

    assert "correct horse" not in f"{secret} {secret!r} {secret.kafka_sasl_password}"
    assert secret == settings() != settings(KAFKA_SASL_PASSWORD="other")


def test_client_arguments_with_a_password_file_have_its_content(tmp_path: Path) -> None:
    """The line break at the end of the file is not part of the password."""
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
def test_client_arguments_with_incomplete_or_unused_settings_raise_error_that_names_them(
    changes: dict[str, str], message: str
) -> None:
    """A setting that would have no effect is refused, because its author expects one."""
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
def test_authorization_error_is_mapped_to_an_error_that_names_the_missing_acl(
    error: KafkaError, named: str
) -> None:
    """The command in the message has the program's user."""
    with (
        pytest.raises(KafkaRefusedError, match=f"User:alice --operation Read {named}$"),
        map_authorization_errors(settings(), "Read", "jobs", group="pool"),
    ):
        raise error


def test_missing_acl_error_has_the_command_that_the_docs_show() -> None:
    """The facade's command is the same, letter for letter."""
    facade = replace(settings(), kafka_bootstrap_servers="…", kafka_sasl_username="facade")
    (command,) = {one.command for one in find_commands("kafka-acls.sh")}

    assert str(missing_acl_error(facade, "Read", EVENTS_TOPIC)).endswith(f" Allow it: {command}")
