"""Socket addresses, as settings spell them: `HOST:PORT`, with an IPv6 host in brackets."""

import ipaddress
import socket
from urllib.parse import urlsplit

from fabric_jobs.runtime.numbers import parse_whole_number
from fabric_jobs.runtime.settings.errors import SettingsError


def host_port(address: str) -> tuple[str, int]:
    """Returns the host, without brackets, and the port of `HOST:PORT`. Raises `SettingsError`."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    number = parse_whole_number(port)
    if not colon or not host or number is None or number > 65535:
        raise SettingsError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:5000.")
    return host, number


def address_of(host: str, port: int) -> str:
    """Returns `HOST:PORT`: the inverse of `host_port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def family_of(host: str) -> socket.AddressFamily:
    """Returns the address family of a socket that binds to this host: IPv6 or IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Returns whether a socket bound to this host is reachable from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(host_header: str) -> bool:
    """Returns whether a request's Host header is a name of this machine, with or without a port.

    An open server checks the name, because an attacker's domain can resolve to 127.0.0.1.
    """
    try:
        return is_loopback(urlsplit(f"//{host_header}").hostname or "")
    except ValueError:
        return False


def is_secure_url(url: str) -> bool:
    """Returns whether what is sent to the URL stays secret: over https, or to this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )


def addresses(text: str) -> tuple[str, ...]:
    """Returns the `HOST:PORT` addresses in a comma-separated text.

    Raises `SettingsError` for a bad address, or if the text holds none.
    """
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    for address in found or [text]:
        host_port(address)
    return found
