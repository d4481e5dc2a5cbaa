"""Addresses of sockets, as settings spell them."""

import ipaddress
import socket

from fabric_jobs.runtime.settings.errors import SettingsError


def host_port(address: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`. Raises `SettingsError`."""
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    number = int(port) if port.isascii() and port.isdigit() else None
    if not colon or not host or number is None or number > 65535:
        raise SettingsError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:5000.")
    return host, number


def address_of(host: str, port: int) -> str:
    """`HOST:PORT` of the parts, as `host_port` takes it apart."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def family_of(host: str) -> socket.AddressFamily:
    """Which kind of socket binds it."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def addresses(text: str) -> tuple[str, ...]:
    """Each of the `HOST:PORT` that commas separate, at least one. Raises `SettingsError`."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    for address in found or [text]:
        host_port(address)
    return found
