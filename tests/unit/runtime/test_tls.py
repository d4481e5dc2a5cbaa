"""Mutual TLS from the files that settings name."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fabric_jobs.runtime.channels import facade_tls
from fabric_jobs.runtime.settings import ClientSettings, SettingsError
from fabric_jobs.runtime.tls import PemFiles, tls_context
from tests.support.certificates import Authority


def files(folder: Path) -> dict[str, Any]:
    """Returns the settings of a client that has all three files."""
    authority = Authority(folder)
    client = authority.client("client")
    return {
        "facades_tls_ca_file": authority.ca,
        "facades_tls_cert_file": client.cert,
        "facades_tls_key_file": client.key,
    }


def test_mutual_tls_with_three_files_reads_their_current_content(tmp_path: Path) -> None:
    """A changed file has an effect without a restart."""
    named = files(tmp_path)
    found = facade_tls(ClientSettings(**named))

    assert found == PemFiles(*named.values())
    named["facades_tls_ca_file"].write_bytes(b"changed")
    assert found.read()[0] == b"changed"


def test_mutual_tls_without_files_is_none() -> None:
    """gRPC is then in plain text."""
    assert facade_tls(ClientSettings()) is None


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_mutual_tls_with_some_of_the_files_raises_error_that_names_the_missing_ones(
    tmp_path: Path, first: int, kept: int
) -> None:
    """The error names no other file as missing."""
    named = list(files(tmp_path).items())
    some = dict((named * 2)[first : first + kept])
    with pytest.raises(SettingsError, match="go together: set ") as raised:
        facade_tls(ClientSettings(**some))

    missing = str(raised.value).partition(": set ")[2]
    assert [f"FABRIC_JOBS_{name.upper()}" in missing for name, _ in named] == [
        name not in some for name, _ in named
    ]


def _delete(path: Path) -> None:
    path.unlink()


def _overwrite(path: Path) -> None:
    path.write_text("not PEM")


def _replace_key(path: Path) -> None:
    path.write_bytes(Authority(path.parent / "other").client("other").key.read_bytes())


@pytest.mark.parametrize("spoil", [_delete, _overwrite])
@pytest.mark.parametrize("part", ["ca", "cert", "key"])
def test_mutual_tls_with_an_unusable_file_raises_error_that_names_it(
    tmp_path: Path, part: str, spoil: Any
) -> None:
    """The error comes at start, not at the first connection."""
    named = files(tmp_path)
    spoil(named[f"facades_tls_{part}_file"])
    with pytest.raises(SettingsError, match="can't be used") as raised:
        facade_tls(ClientSettings(**named))

    assert str(named[f"facades_tls_{part}_file"]) in str(raised.value)


def test_mutual_tls_with_the_key_of_another_certificate_raises_error(tmp_path: Path) -> None:
    """The message has OpenSSL's reason."""
    named = files(tmp_path)
    _replace_key(named["facades_tls_key_file"])
    with pytest.raises(SettingsError, match="KEY_VALUES_MISMATCH"):
        facade_tls(ClientSettings(**named))


def test_mutual_tls_with_an_encrypted_key_raises_error_without_a_prompt(tmp_path: Path) -> None:
    """A service has no terminal at which somebody could type a passphrase."""
    named = files(tmp_path)
    key = named["facades_tls_key_file"]
    secret = load_pem_private_key(key.read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    key.write_bytes(secret)
    with pytest.raises(SettingsError, match="can't be used"):
        facade_tls(ClientSettings(**named))


def test_tls_context_refuses_tls_below_1_2() -> None:
    """A system's configuration of OpenSSL may allow older versions."""
    named = dict.fromkeys(("ca", "cert", "key"), "kafka_ssl_ca_file")
    context = tls_context(ssl.Purpose.SERVER_AUTH, ClientSettings(), **named)

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
