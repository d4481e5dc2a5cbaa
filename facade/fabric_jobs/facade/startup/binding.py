"""Explains why a server can't listen on its address."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from fabric_jobs.runtime.settings import SettingsError, variable


@contextmanager
def explain_binding(settings: Struct, name: str) -> Iterator[None]:
    """Turns the error of an address that can't be bound into one line that names the setting.

    `name` is the field of `settings` with the address. Raises `SettingsError`.
    """
    try:
        yield
    # gRPC raises RuntimeError, and says nothing about the reason.
    except (OSError, RuntimeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else "another program may use it"
        raise SettingsError(
            f"{variable(name)}={getattr(settings, name)} can't be listened on ({reason}): stop the "
            "program that uses it, or name another address. Port 0 takes a free port."
        ) from error
