"""A certificate authority for tests, and the certificates that it signs, as PEM files.

They have the extensions that Python 3.13 demands (`ssl.VERIFY_X509_STRICT`).
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Certificate(Struct, frozen=True):
    """The files of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates. Its own certificate is the file `ca`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"authority {folder.name}")
        self.ca = folder / "ca.pem"
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(self, name: str = "server") -> Certificate:
        """A server certificate for programs on this machine."""
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._issue(name, name, here)

    def client(
        self,
        name: str,
        *,
        dns: Sequence[str] | None = None,
        uri: Sequence[str] = (),
        common: str | None = None,
    ) -> Certificate:
        """A client certificate. Its DNS name and common name are the file's name unless given."""
        names = [name] if dns is None else dns
        others = [*map(x509.DNSName, names), *map(x509.UniformResourceIdentifier, uri)]
        return self._issue(name, name if common is None else common, others)

    def _issue(self, file: str, common: str, others: list[x509.GeneralName]) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(common), self._name, key)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(authority_key, critical=False)
        )
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        files = Certificate(self._folder / f"{file}.pem", self._folder / f"{file}-key.pem")
        files.cert.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def write_rsa_certificate(folder: Path) -> Path:
    """Writes a new certificate of a client with its RSA key, both in one PEM file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = _name("the workload")
    certificate = _builder(name, name, key).sign(key, SHA256())
    file = folder / f"{certificate.serial_number}.pem"
    pem = certificate.public_bytes(Encoding.PEM)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
    return file
