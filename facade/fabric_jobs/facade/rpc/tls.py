"""The gRPC server's side of mutual TLS. Certificate files may change while the server runs."""

import logging

import grpc

from fabric_jobs.runtime.tls import PemFiles

log = logging.getLogger("fabric_jobs.facade")


def server_credentials(files: PemFiles) -> grpc.ServerCredentials:
    """Returns credentials that use, for each new connection, the current content of the files.

    Raises `OSError` if a file cannot be read.
    """
    current = files.read()

    def read_change() -> grpc.ServerCertificateConfiguration | None:
        nonlocal current
        try:
            found = files.read()
        except OSError as error:
            log.error("the certificates can't be read again, the old ones stay in use: %s", error)
            return None
        if found == current:
            return None
        current = found
        log.info("the certificates have changed, new connections use the new ones")
        return _configuration(*found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(*current),
        read_change,  # type: ignore[arg-type] # the stubs forbid None, which means "no change"
        require_client_authentication=True,
    )


def _configuration(ca: bytes, cert: bytes, key: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)
