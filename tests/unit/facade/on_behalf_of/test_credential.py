"""The client certificate: which files are refused, and what a changed file does."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fabric_jobs.facade.on_behalf_of.credential import Credential
from fabric_jobs.runtime.settings import SettingsError
from tests.support.certificates import Authority, write_rsa_certificate

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def parts(folder: Path) -> tuple[bytes, bytes]:
    """A new certificate and its key."""
    key, _, certificate = write_rsa_certificate(folder).read_bytes().partition(_BEGIN)
    return _BEGIN + certificate, key


def bad_contents(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Contents that can't be used, with words of the error."""
    certificate, key = parts(folder)
    _, other_key = parts(folder)
    encrypted = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    elliptic = Authority(folder).client("elliptic")
    return {
        "no key": (certificate, "the key is no PEM"),
        "no certificate": (key, "the certificate can't be read"),
        "empty": (b"", "the certificate can't be read"),
        "damaged key": (key.replace(key[100:140], b"A" * 40) + certificate, "the key is no PEM"),
        "passphrase": (encrypted + certificate, "without a passphrase"),
        "other key": (other_key + certificate, "the key is not the certificate's"),
        "elliptic": (elliptic.cert.read_bytes() + elliptic.key.read_bytes(), "not an RSA key"),
    }


@pytest.mark.parametrize(
    "name",
    ["no key", "no certificate", "empty", "damaged key", "passphrase", "other key", "elliptic"],
)
def test_credential_with_a_certificate_file_that_can_t_be_used_raises_settings_error(
    tmp_path: Path, name: str
) -> None:
    """The first use of such a key would raise an error that ends the facade."""
    content, words = bad_contents(tmp_path)[name]
    file = tmp_path / "client.pem"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        Credential(certificate_file=file)


def test_credential_reads_the_certificate_and_its_key_in_any_order(tmp_path: Path) -> None:
    """Texts of any letters may stand between the parts, as other tools write them."""
    certificate, key = parts(tmp_path)
    file = tmp_path / "client.pem"
    for content in (key + certificate, certificate + key, "Name: é\n".encode() + certificate + key):
        file.write_bytes(content)
        found = Credential(certificate_file=file).read()
        assert key.decode() in found["private_key"]
        assert found["public_certificate"].startswith(certificate.decode())


def test_credential_goes_on_with_the_old_content_while_the_file_can_t_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault is logged once, when it begins. A new certificate needs no restart."""
    caplog.set_level("INFO")
    file = tmp_path / "client.pem"
    certificate, key = parts(tmp_path)
    file.write_bytes(key + certificate)
    credential = Credential(certificate_file=file)
    first = credential.read()

    file.write_bytes(certificate)
    assert [credential.is_unusable(), credential.is_unusable()] == [True, True]
    assert credential.read() == first
    file.unlink()
    assert credential.is_unusable()
    assert credential.read() == first
    second_certificate, second_key = parts(tmp_path)
    file.write_bytes(second_key + second_certificate)
    assert not credential.is_unusable()
    assert credential.read()["private_key"].startswith(second_key.decode())
    assert ["can't be used" in line for line in caplog.messages] == [True, True, False]
