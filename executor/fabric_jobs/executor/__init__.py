"""The executor: runs the handlers of jobs and reports the results to the facades."""

import os
import signal
import sys

if sys.orig_argv[1:3] == ["-m", __name__]:
    # The program, and not a use as a library. Before the slow imports: as PID 1 of a container, a
    # process without a handler ignores SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

# gRPC's fork handlers crash a process that starts another one while gRPC's threads run. gRPC reads
# the variable when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from fabric_jobs.contract.definitions import DefinitionPart, ItemDefinition
from fabric_jobs.contract.errors import ErrorSource
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.executor.api import Executor
from fabric_jobs.executor.errors import (
    AccessTokenError,
    CheckpointError,
    ExecutorError,
    HandlerDefinitionError,
    HelloRefusedError,
    JobFailed,
    JobStopped,
    LifespanError,
    NoHandlersError,
    PayloadInvalidError,
)
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.retry import Retry
from fabric_jobs.executor.settings import ExecutorSettings

__all__ = [
    "AccessTokenError",
    "CheckpointError",
    "DefinitionPart",
    "ErrorSource",
    "Executor",
    "ExecutorError",
    "ExecutorSettings",
    "HandlerDefinitionError",
    "HelloRefusedError",
    "InvokeType",
    "ItemDefinition",
    "Job",
    "JobFailed",
    "JobStopped",
    "LifespanError",
    "NoHandlersError",
    "PayloadInvalidError",
    "Retry",
]
