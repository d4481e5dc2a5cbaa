"""The TLS context of new connections to Kafka, also while the files with certificates are damaged.

A program reads the files again for each new connection, and the system's authorities once, because
to load these takes 20 ms. Files that can't be used end a program only at its start: a running
program goes on with what it read before.
"""

import logging
import ssl
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

from fabric_jobs.runtime.settings import KafkaSettings, SettingsError
from fabric_jobs.runtime.tls import tls_context

log = logging.getLogger("fabric_jobs.kafka")

#: The names of the settings, by the part that a file has in TLS.
FILES = {part: f"kafka_ssl_{part}_file" for part in ("ca", "cert", "key")}


class CurrentContext(NamedTuple):
    """The context that new connections use."""

    context: ssl.SSLContext
    #: Why the files can't be used now, so that the context is an older one; empty if they can.
    fault: str
    #: The digests of the files when they were read last; None if one could not be read.
    digests: tuple[bytes, ...] | None


#: By the paths of the files: what this process used last.
_current: dict[tuple[Path | None, ...], CurrentContext] = {}


def current_context(settings: KafkaSettings) -> CurrentContext:
    """Reads the files now. Returns the context that was read last if they can't be used.

    A fault is logged when it begins. Raises `SettingsError` if the files were never usable.
    """
    paths = tuple(getattr(settings, name) for name in FILES.values())
    before = _current.get(paths)
    digests = _read_digests(filter(None, paths))
    if before and not before.fault and digests is not None and digests == before.digests:
        return before
    try:
        context = tls_context(ssl.Purpose.SERVER_AUTH, settings, **FILES)
        found = CurrentContext(context, "", digests)
    except SettingsError as error:
        if before is None:
            raise
        found = CurrentContext(before.context, str(error), digests)
        if found.fault != before.fault:
            log.error(
                "new connections to Kafka use the certificates that were read before: %s", error
            )
    _current[paths] = found
    return found


def _read_digests(paths: Iterable[Path]) -> tuple[bytes, ...] | None:
    # No variable keeps the private key, because a report of an error may show local variables.
    try:
        return tuple(sha256(path.read_bytes()).digest() for path in paths)
    except OSError:
        return None


class RenewedContext(ssl.SSLContext):
    """The context of a client of Kafka: each of its connections uses the files of that time.

    aiokafka keeps one context for the life of a client, and a client lives as long as the program.
    With a usual context, the client could not connect any more once its certificate has expired or
    the brokers have certificates of a new authority.
    """

    def __new__(cls, settings: KafkaSettings) -> Self:
        """Raises `SettingsError` if the files can't be used and never were."""
        current_context(settings)
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begins TLS on a new connection. asyncio and uvloop call it for each."""
        return current_context(self._settings).context.wrap_bio(*arguments, **options)
