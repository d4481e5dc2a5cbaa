"""A module of handlers that configures logging when a process imports it, as some programs do."""

import logging.config
from typing import Any

from fabric_jobs.executor import Executor, Job
from fabric_jobs.executor.processes.child_channel import ForwardingHandler

log = logging.getLogger("configured_handlers")
executor = Executor()

# Not in the process of the tests, whose loggers it would disable.
if any(isinstance(handler, ForwardingHandler) for handler in logging.root.handlers):
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"lines": {"class": "logging.StreamHandler"}},
            "root": {"level": "INFO", "handlers": ["lines"]},
        }
    )


@executor.job("Test.Item", "logging", run_in="process")
def write_a_line(job: Job[Any]) -> None:
    """Logs a line."""
    log.info("a line of the handler")
