"""The executor: runs the handlers of jobs and reports the results to the facades."""

from fabric_jobs.contract.jobs import ErrorSource, InvokeType
from fabric_jobs.executor.api import Executor
from fabric_jobs.executor.errors import (
    ExecutorError,
    HandlerDefinitionError,
    JobFailed,
    JobStopped,
    NoHandlersError,
    PayloadInvalidError,
)
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.retry import Retry
from fabric_jobs.executor.settings import ExecutorSettings

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
