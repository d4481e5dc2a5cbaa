"""gRPC channels from a client to a facade, with or without mutual TLS, and their keepalive."""

import ssl
from collections.abc import Sequence
from contextlib import suppress

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.runtime.settings import ClientSettings, variable
from fabric_jobs.runtime.tls import PemFiles, mutual_tls

#: Seconds between two keepalive pings of a silent connection.
PING_INTERVAL_S = 10
#: Seconds that the other side may take to answer a ping. Then the connection is given up.
PING_TIMEOUT_S = 5
#: The least seconds between two pings that a server takes from one connection.
MIN_PING_INTERVAL_S = 5
#: How a client notices that a facade, or the way to it, is silent: after 15 s, so well within a
#: lease.
KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", PING_INTERVAL_S * 1000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_S * 1000),
    # While a connection has data to send, this timeout of gRPC's decides, and it is 60 s by
    # default.
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_S * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
)
#: How a server notices silent clients, and which pings it takes: by default, gRPC closes a
#: connection that pings more often than once in 5 minutes.
SERVER_KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    *KEEPALIVE_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_S * 1000),
)

#: A phrase of gRPC's error for a server whose certificate lacks the name that the client expects.
_NAME_MISMATCH = "Hostname Verification"
_FILES = {part: f"facades_tls_{part}_file" for part in ("ca", "cert", "key")}
#: What to change, by a phrase that gRPC's error has when a connection fails.
_ADVICE = {
    "CERTIFICATE_VERIFY_FAILED": "The facade's certificate is not trusted: set "
    f"{variable(_FILES['ca'])} to the authority that signed it.",
    _NAME_MISMATCH: "Connect by a host name that the facade's certificate contains.",
    "WRONG_VERSION_NUMBER": f"The facade does not use TLS: leave {variable(_FILES['cert'])} empty.",
    "Socket closed": "This may be no facade's gRPC address, but Kafka's, for example. Or the "
    "facade requires a certificate from an authority that it trusts: set "
    f"{variable(_FILES['cert'])}.",
}


def facade_tls(settings: ClientSettings) -> PemFiles | None:
    """Returns the files for mutual TLS with facades, or None if gRPC is in plain text.

    Raises `SettingsError`.
    """
    return mutual_tls(ssl.Purpose.SERVER_AUTH, settings, **_FILES)


def open_channel(
    address: str, tls: PemFiles | None, options: Sequence[tuple[str, int | str]]
) -> grpc.aio.Channel:
    """Opens a channel with the current content of the files, and with keepalive pings.

    Raises `OSError` if a file is gone.
    """
    options = (*KEEPALIVE_OPTIONS, *options)
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    ca, cert, key = tls.read()
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    return grpc.aio.secure_channel(address, credentials, options)


def error_reason(error: grpc.aio.AioRpcError) -> str | None:
    """Returns the reason in the facade's `ErrorInfo`, or None if another program made the error."""
    return error_info(error).reason or None


def error_info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Returns the facade's `ErrorInfo`; an empty one if another program made the error."""
    metadata = dict(error.trailing_metadata() or ())
    status, info = Status(), ErrorInfo()
    with suppress(KeyError, DecodeError, IndexError):
        status.ParseFromString(metadata["grpc-status-details-bin"])
        status.details[0].Unpack(info)
    return info


def is_name_mismatch(error: grpc.aio.AioRpcError) -> bool:
    """Returns whether the server's certificate lacks the name that this client expects."""
    return _NAME_MISMATCH in (error.details() or "")


def connection_advice(details: str) -> str:
    """Returns what to change when a connection fails with these gRPC error details.

    Returns an empty text for details that this module does not know.
    """
    return next((advice for phrase, advice in _ADVICE.items() if phrase in details), "")
