"""A handler that logs and traces with the usual libraries, for the tests of telemetry."""

import logging
from typing import Any

from opentelemetry import trace

from fabric_jobs.executor import Executor, Job, Retry

executor = Executor()
log = logging.getLogger("observed_handlers")
tracer = trace.get_tracer("a library")


@executor.job("Test.Item", "retry-once", retry=Retry(max_attempts=2, initial_s=0.1))
def retry_once(job: Job[Any]) -> None:
    """Runs in a thread, logs a line in a span, and fails at its first attempt."""
    with tracer.start_as_current_span("a library's own span"):
        log.info("working", extra={"rows": 5})
    if job.attempt == 1:
        raise RuntimeError("the first attempt")
