"""The operators' controls: paused job types, and what keeps a waiting job from its start."""

from fabric_jobs.facade.controls.controls import Controls
from fabric_jobs.facade.controls.hints import start_hint
from fabric_jobs.facade.controls.job_types import (
    InvalidJobTypeError,
    JobTypes,
    JobTypeState,
    UnknownJobTypeError,
)

__all__ = [
    "Controls",
    "InvalidJobTypeError",
    "JobTypeState",
    "JobTypes",
    "UnknownJobTypeError",
    "start_hint",
]
