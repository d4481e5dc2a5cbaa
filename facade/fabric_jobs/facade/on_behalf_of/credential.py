"""The workload's proof of its identity to the authority: a secret, or a certificate with its key.

The file of the certificate may change while the facade runs. A file that can't be used changes
nothing: the facade goes on with the last content that it could use.
"""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fabric_jobs.facade.pem import load_certificates, load_key
from fabric_jobs.facade.usable_content import Reports, UsableContent
from fabric_jobs.runtime.settings import Secret, SettingsError


class Credential:
    """A client secret, or a certificate and its key from one PEM file."""

    def __init__(
        self, *, secret: Secret | None = None, certificate_file: Path | None = None
    ) -> None:
        """Reads the file. Raises `OSError`, and `SettingsError` if the content can't be used."""
        self._secret = secret
        self._certificate: UsableContent[bytes] | None = None
        if certificate_file:
            reports = _reports(certificate_file)
            self._certificate = UsableContent(certificate_file.read_bytes, _verify, reports)

    def read(self) -> Any:
        """Reads the file again. Returns the credential in the form that MSAL takes."""
        if self._certificate is None:
            return self._secret.reveal() if self._secret else None
        # Letters beyond ASCII may stand between the parts of a PEM file.
        pem = self._certificate.read().decode("ascii", "replace")
        return {"private_key": pem, "public_certificate": pem[pem.index("-----BEGIN CERT") :]}

    def is_unusable(self) -> bool:
        """Reads the file again. Whether it can't be used, so that older content is in use."""
        return self._certificate is not None and self._certificate.is_unusable()


def _reports(file: Path) -> Reports:
    certificate = f"the client certificate in {file}"
    return Reports(
        unusable=f"{certificate} can't be used, the facade goes on with the old one",
        changed=f"{certificate} was read again and can be used",
        restored=f"{certificate} can be used again, and has not changed",
    )


def _verify(pem: bytes) -> None:
    """Raises `SettingsError` unless the content has a certificate, and then its RSA key."""
    certificate = load_certificates("the certificate", pem)[0]
    if not isinstance(load_key(certificate, pem), RSAPrivateKey):
        raise SettingsError("the key is not an RSA key, which Entra ID requires")
