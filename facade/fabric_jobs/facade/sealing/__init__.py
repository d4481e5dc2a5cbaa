"""Sealing: secrets are encrypted before they are written, by keys that only facades hold."""

from fabric_jobs.facade.sealing.errors import DamagedError, SealedError, UnknownKeyError
from fabric_jobs.facade.sealing.job_secrets import (
    Content,
    JobSecrets,
    Revealed,
    has_sealed_content,
)
from fabric_jobs.facade.sealing.sealer import Purpose, Sealer

__all__ = [
    "Content",
    "DamagedError",
    "JobSecrets",
    "Purpose",
    "Revealed",
    "SealedError",
    "Sealer",
    "UnknownKeyError",
    "has_sealed_content",
]
