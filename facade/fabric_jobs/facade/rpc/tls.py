"""The gRPC server's side of mutual TLS. The certificates may change while the server runs.

Files that can't be used change nothing: new connections still get the last certificates that could.
"""

from threading import Lock

import grpc

from fabric_jobs.facade.pem import load_certificates, load_key
from fabric_jobs.facade.usable_content import Reports, UsableContent
from fabric_jobs.runtime.tls import PemFiles

_REPORTS = Reports(
    unusable="the certificates for gRPC can't be used, new connections still get the old ones",
    changed="the certificates for gRPC have changed, new connections get the new ones",
    restored="the certificates for gRPC can be used again, and have not changed",
)

#: The content of the files: the authorities, the certificate and its key.
_Content = tuple[bytes, bytes, bytes]


class ServerCertificates:
    """The certificates that new connections get: those of the files, once they can be used."""

    def __init__(self, files: PemFiles) -> None:
        """Raises `OSError` if a file can't be read, and `SettingsError` if one can't be used."""
        self._content = UsableContent(files.read, _verify, _REPORTS)
        #: What gRPC was given last.
        self._served = self._content.read()
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
        return self._content.is_unusable()

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What a new connection gets; None if it is what the last one got."""
        with self._lock:
            usable = self._content.read()
            if usable == self._served:
                return None
            self._served = usable
            return _configuration(*self._served)


def _verify(content: _Content) -> None:
    """Raises `SettingsError`, which names the part, unless the content can be used."""
    ca, cert, key = content
    load_certificates("the authorities", ca)
    load_key(load_certificates("the certificate", cert)[0], key)


def _configuration(ca: bytes, cert: bytes, key: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)
