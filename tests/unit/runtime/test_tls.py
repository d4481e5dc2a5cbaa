"""Mutual TLS by the files that settings name."""

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
from fabric_jobs.runtime.tls import PemFiles
from tests.support.certificates import Authority


def files(folder: Path) -> dict[str, Any]:
    """The settings of a client that has all three."""
    authority = Authority(folder)
    client = authority.client("client")
    return {
        "facades_tls_ca_file": authority.ca,
        "facades_tls_cert_file": client.cert,
        "facades_tls_key_file": client.key,
    }


def test_three_files_are_mutual_tls_and_none_is_none(tmp_path: Path) -> None:
    """Their content is read anew each time."""
    named = files(tmp_path)
    found = facade_tls(ClientSettings(**named))

    assert found == PemFiles(*named.values())
    named["facades_tls_ca_file"].write_bytes(b"changed")
    assert found.read()[0] == b"changed"
    assert facade_tls(ClientSettings()) is None


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_files_go_together(tmp_path: Path, first: int, kept: int) -> None:
    """Those that are missing are named, and no other as missing."""
    named = list(files(tmp_path).items())
    some = dict((named * 2)[first : first + kept])
    with pytest.raises(SettingsError, match="go together: set ") as raised:
        facade_tls(ClientSettings(**some))

    missing = str(raised.value).partition(": set ")[2]
    assert [f"FABRIC_JOBS_{name.upper()}" in missing for name, _ in named] == [
        name not in some for name, _ in named
    ]


def _no_file(path: Path) -> None:
    path.unlink()


def _no_pem(path: Path) -> None:
    path.write_text("no PEM")


def _other(path: Path) -> None:
    path.write_bytes(Authority(path.parent / "other").client("other").key.read_bytes())


@pytest.mark.parametrize("spoil", [_no_file, _no_pem])
@pytest.mark.parametrize("part", ["ca", "cert", "key"])
def test_a_file_that_can_not_be_used_is_named(tmp_path: Path, part: str, spoil: Any) -> None:
    """At once, and not when it is needed."""
    named = files(tmp_path)
    spoil(named[f"facades_tls_{part}_file"])
    with pytest.raises(SettingsError, match="can't be used") as raised:
        facade_tls(ClientSettings(**named))

    assert str(named[f"facades_tls_{part}_file"]) in str(raised.value)


def test_another_key_than_the_certificate_s_is_refused(tmp_path: Path) -> None:
    """Nobody could prove the name with it."""
    named = files(tmp_path)
    _other(named["facades_tls_key_file"])
    with pytest.raises(SettingsError, match="KEY_VALUES_MISMATCH"):
        facade_tls(ClientSettings(**named))


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    """A program has nobody at a terminal."""
    named = files(tmp_path)
    key = named["facades_tls_key_file"]
    secret = load_pem_private_key(key.read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    key.write_bytes(secret)
    with pytest.raises(SettingsError, match="can't be used"):
        facade_tls(ClientSettings(**named))
