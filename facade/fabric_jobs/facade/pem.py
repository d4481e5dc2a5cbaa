"""Certificates and their private keys in the PEM format."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from fabric_jobs.runtime.settings import SettingsError


def load_certificates(part: str, pem: bytes) -> list[Certificate]:
    """Returns the certificates, at least one. Raises `SettingsError`, which names the part."""
    try:
        return load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{part} can't be read: {error}") from error


def load_key(certificate: Certificate, pem: bytes) -> PrivateKeyTypes:
    """Returns the private key of the certificate. Raises `SettingsError` unless it can be used."""
    try:
        key = load_pem_private_key(pem, None)
        public_key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"the key is no PEM without a passphrase: {error}") from error
    if key.public_key() != public_key:
        raise SettingsError("the key is not the certificate's")
    return key
