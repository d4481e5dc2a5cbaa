"""The workload's proof of its identity to the authority: a secret, or a certificate with its key.

The file of the certificate may change while the facade runs. A file that can't be used changes
nothing: the facade goes on with the last content that it could use.
"""

import logging
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fabric_jobs.facade.pem import load_certificates, load_key
from fabric_jobs.runtime.settings import Secret, SettingsError

log = logging.getLogger("fabric_jobs.facade")


class Credential:
    """A client secret, or a certificate and its key from one PEM file."""

    def __init__(
        self, *, secret: Secret | None = None, certificate_file: Path | None = None
    ) -> None:
        """Reads the file. Raises `OSError`, and `SettingsError` if the content can't be used."""
        self._secret = secret
        self._file = certificate_file
        self._usable = certificate_file.read_bytes() if certificate_file else b""
        if certificate_file:
            _verify(self._usable)
        #: What was read last, and why it can't be used; empty if it can.
        self._found, self._fault = self._usable, ""
        # The client's threads read the file.
        self._lock = Lock()

    def read(self) -> Any:
        """Reads the file again. Returns the credential in the form that MSAL takes."""
        if self._secret:
            return self._secret.reveal()
        with self._lock:
            self._refresh()
            # Letters beyond ASCII may stand between the parts of a PEM file.
            pem = self._usable.decode("ascii", "replace")
        return {"private_key": pem, "public_certificate": pem[pem.index("-----BEGIN CERT") :]}

    def is_unusable(self) -> bool:
        """Reads the file again. Whether it can't be used, so that older content is in use."""
        with self._lock:
            self._refresh()
            return bool(self._fault)

    def _refresh(self) -> None:
        """Reads the file, and takes its content if it can be used. Logs each change once."""
        if not self._file:
            return
        found, fault = b"", ""
        try:
            found = self._file.read_bytes()
            if found == self._found:
                fault = self._fault
            else:
                _verify(found)
        except (OSError, SettingsError) as error:
            fault = str(error)
        if (found, fault) == (self._found, self._fault):
            return
        self._found, self._fault = found, fault
        if fault:
            log.error(
                "the client certificate in %s can't be used, the facade goes on with the old one: "
                "%s",
                self._file,
                fault,
            )
        else:
            self._usable = found
            log.info("the client certificate in %s was read again and can be used", self._file)


def _verify(pem: bytes) -> None:
    """Raises `SettingsError` unless the content has a certificate, and then its RSA key."""
    certificate = load_certificates("the certificate", pem)[0]
    if not isinstance(load_key(certificate, pem), RSAPrivateKey):
        raise SettingsError("the key is not an RSA key, which Entra ID requires")
