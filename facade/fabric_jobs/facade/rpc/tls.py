"""The gRPC server's side of mutual TLS, with certificates that may change while it runs."""

import logging

import grpc

from fabric_jobs.runtime.tls import PemFiles

log = logging.getLogger("fabric_jobs.facade")


def server_credentials(files: PemFiles) -> grpc.ServerCredentials:
    """Credentials that take each new connection by what the files hold then.

    Raises `OSError` where they can't be read.
    """
    current = files.read()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal current
        try:
            found = files.read()
        except OSError as error:
            log.error("the certificates can't be read again, the old ones stay: %s", error)
            return None
        if found == current:
            return None
        current = found
        log.info("the certificates have changed, new connections get the new ones")
        return _configuration(*found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(*current),
        changed,  # type: ignore[arg-type] # none for no change, which the stubs do not know
        require_client_authentication=True,
    )


def _configuration(ca: bytes, cert: bytes, key: bytes) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)
