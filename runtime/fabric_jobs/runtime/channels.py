"""A client's way to a facade's gRPC: plain, or by mutual TLS."""

import ssl
from collections.abc import Sequence

import grpc

from fabric_jobs.runtime.settings import ClientSettings, variable
from fabric_jobs.runtime.tls import PemFiles, mutual_tls

_FILES = {part: f"facades_tls_{part}_file" for part in ("ca", "cert", "key")}
#: What gRPC says of a connection that is not made, and what would do.
_REMEDIES = {
    "CERTIFICATE_VERIFY_FAILED": f"Name its authority in {variable(_FILES['ca'])}.",
    "Hostname Verification": "Call it by a name that its certificate has.",
    "WRONG_VERSION_NUMBER": f"It speaks no TLS: leave {variable(_FILES['cert'])} empty.",
    "Socket closed": "It may ask for a certificate of an authority that it knows: set "
    f"{variable(_FILES['cert'])}.",
}


def facade_tls(settings: ClientSettings) -> PemFiles | None:
    """What proves to facades who we are; none where gRPC is plain. Raises `SettingsError`."""
    return mutual_tls(ssl.Purpose.SERVER_AUTH, settings, **_FILES)


def open_channel(
    address: str, tls: PemFiles | None, options: Sequence[tuple[str, int]]
) -> grpc.aio.Channel:
    """A channel; it has what the files hold now. Raises `OSError` where they are gone."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    ca, cert, key = tls.read()
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    return grpc.aio.secure_channel(address, credentials, options)


def remedy(details: str) -> str:
    """What would do, by gRPC's word of why there is no connection; empty where it has none."""
    return next((what for word, what in _REMEDIES.items() if word in details), "")
