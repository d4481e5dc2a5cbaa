"""Rings of keys for tests, and the sealing of facades with and without one."""

import base64
import os

from fabric_jobs.facade.sealing import JobSecrets, Sealer
from fabric_jobs.runtime.settings import RingKey

OLD_KEY, NEW_KEY = (
    RingKey(name, bytes(range(number, number + 32))) for number, name in enumerate(("old", "new"))
)
#: The sealing of a facade without keys.
NO_SEALING = JobSecrets(Sealer((), "events"), seals=False)


def sealing(*keys: RingKey, seals: bool = True) -> JobSecrets:
    """The sealing of a facade with this ring; by default one with a single key."""
    return JobSecrets(Sealer(keys or (OLD_KEY,), "events"), seals=seals)


def ring_key(name: str) -> str:
    """A new entry of a ring of keys, as in `FABRIC_JOBS_SEALING_KEYS`."""
    return ring_setting(RingKey(name, os.urandom(32)))


def ring_setting(*keys: RingKey) -> str:
    """The ring as in `FABRIC_JOBS_SEALING_KEYS`."""
    return ",".join(f"{key.id}:{base64.b64encode(key.secret).decode()}" for key in keys)
