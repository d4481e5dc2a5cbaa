"""Sealing: secrets are encrypted before they are written, by keys that only facades hold."""

from fabric_jobs.facade.sealing.errors import DamagedError, SealedError, UnknownKeyError
from fabric_jobs.facade.sealing.sealer import Purpose, Sealer

__all__ = ["DamagedError", "Purpose", "SealedError", "Sealer", "UnknownKeyError"]
