"""gRPC channels from a client to a facade, with or without mutual TLS, and their keepalive."""

import ssl
from collections.abc import Sequence

import grpc

from fabric_jobs.runtime.settings import ClientSettings, variable
from fabric_jobs.runtime.tls import PemFiles, mutual_tls

#: Seconds between two keepalive pings of a client. With pings a client notices that a facade's
#: machine is gone.
PING_INTERVAL_S = 20
#: Seconds that the answer to a ping may take; then the client gives up the connection.
PING_TIMEOUT_S = 10
#: The shortest seconds between two pings of a client that a server accepts. By gRPC's default of 5
#: minutes a server ends the connection of a client whose stream carries no message for a while.
MIN_PING_INTERVAL_S = 10
#: Options of a client's channel.
CLIENT_KEEPALIVE = (
    ("grpc.keepalive_time_ms", PING_INTERVAL_S * 1000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_S * 1000),
)
#: Options of a server.
SERVER_KEEPALIVE = (
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_S * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_FILES = {part: f"facades_tls_{part}_file" for part in ("ca", "cert", "key")}
#: What to change, by a phrase that gRPC's error has when a connection fails.
_ADVICE = {
    "CERTIFICATE_VERIFY_FAILED": "The facade's certificate is not trusted: set "
    f"{variable(_FILES['ca'])} to the authority that signed it.",
    "Hostname Verification": "Connect by a host name that the facade's certificate contains.",
    "WRONG_VERSION_NUMBER": f"The facade does not use TLS: leave {variable(_FILES['cert'])} empty.",
    "Socket closed": "The facade may require a certificate from an authority that it trusts: set "
    f"{variable(_FILES['cert'])}.",
}


def facade_tls(settings: ClientSettings) -> PemFiles | None:
    """Returns the files for mutual TLS with facades, or None if gRPC is in plain text.

    Raises `SettingsError`.
    """
    return mutual_tls(ssl.Purpose.SERVER_AUTH, settings, **_FILES)


def open_channel(
    address: str, tls: PemFiles | None, options: Sequence[tuple[str, int]]
) -> grpc.aio.Channel:
    """Opens a channel with the current content of the files. Raises `OSError` if one is gone."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    ca, cert, key = tls.read()
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    return grpc.aio.secure_channel(address, credentials, options)


def connection_advice(details: str) -> str:
    """Returns what to change when a connection fails with these gRPC error details.

    Returns an empty text for details that this module does not know.
    """
    return next((advice for phrase, advice in _ADVICE.items() if phrase in details), "")
