"""The gRPC server's side of mutual TLS. The certificates may change while the server runs.

Files that can't be used change nothing: new connections still get the last certificates that could.
"""

import logging
from threading import Lock

import grpc

from fabric_jobs.facade.pem import load_certificates, load_key
from fabric_jobs.runtime.settings import SettingsError
from fabric_jobs.runtime.tls import PemFiles

log = logging.getLogger("fabric_jobs.facade")

#: The content of the files: the authorities, the certificate and its key.
_Content = tuple[bytes, bytes, bytes]


class ServerCertificates:
    """The certificates that new connections get: those of the files, once they can be used."""

    def __init__(self, files: PemFiles) -> None:
        """Raises `OSError` if a file can't be read, and `SettingsError` if one can't be used."""
        self._files = files
        self._usable = files.read()
        _verify(*self._usable)
        #: What gRPC was given last.
        self._served = self._usable
        #: What was read last, and why it can't be used; None if it can.
        self._found: _Content | None = self._usable
        self._fault: str | None = None
        # gRPC asks from a thread of its own.
        self._lock = Lock()

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that read the files again for each new connection."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(*self._served),
            self._fetch,  # type: ignore[arg-type] # None for no change, which the stubs lack
            require_client_authentication=True,
        )

    def are_unusable(self) -> bool:
        """Reads the files again. Whether they can't be used, so that older ones are in use."""
        with self._lock:
            self._refresh()
            return self._fault is not None

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What a new connection gets; None if it is what the last one got."""
        with self._lock:
            self._refresh()
            if self._usable == self._served:
                return None
            self._served = self._usable
            return _configuration(*self._served)

    def _refresh(self) -> None:
        """Reads the files, and takes their content if it can be used. Logs each change once."""
        found, fault = None, None
        try:
            found = self._files.read()
            if found != self._found:
                _verify(*found)
            else:
                fault = self._fault
        except (OSError, SettingsError) as error:
            fault = str(error)
        if (found, fault) == (self._found, self._fault):
            return
        self._found, self._fault = found, fault
        if fault:
            log.error(
                "the certificates for gRPC can't be used, new connections still get the old ones: "
                "%s",
                fault,
            )
        elif found and found != self._usable:
            self._usable = found
            log.info("the certificates for gRPC have changed, new connections get the new ones")
        else:
            log.info("the certificates for gRPC can be used again, and have not changed")


def _verify(ca: bytes, cert: bytes, key: bytes) -> None:
    """Raises `SettingsError`, which names the part, unless the content can be used."""
    load_certificates("the authorities", ca)
    load_key(load_certificates("the certificate", cert)[0], key)


def _configuration(ca: bytes, cert: bytes, key: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)
