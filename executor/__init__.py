"""The executor: runs the handlers of jobs, and reports what becomes of them."""

from executor.api import Executor
from executor.errors import (
    ExecutorError,
    HandlerDefinitionError,
    JobFailed,
    JobStopped,
    NoHandlersError,
    PayloadInvalidError,
)
from executor.jobs import Job
from executor.retry import Retry
from executor.settings import ExecutorSettings
from fabric_jobs.jobs import ErrorSource, InvokeType

__all__ = [
    "ErrorSource",
    "Executor",
    "ExecutorError",
    "ExecutorSettings",
    "HandlerDefinitionError",
    "InvokeType",
    "Job",
    "JobFailed",
    "JobStopped",
    "NoHandlersError",
    "PayloadInvalidError",
    "Retry",
]
