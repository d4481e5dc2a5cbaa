"""A handler that puts the secret of its payload into everything that it reports."""

import logging

import msgspec

from fabric_jobs.executor import Executor, Job, Retry

executor = Executor()
log = logging.getLogger(__name__)


class Payload(msgspec.Struct):
    """The payload."""

    #: A text that is in the payload, the progress, the checkpoint and the errors.
    secret: str
    #: The text of a log line. The executor's own log has it, too.
    logged: str
    #: How many attempts fail.
    failures: int = 0


@executor.job("Test.Item", "secretive", retry=Retry(max_attempts=2, initial_s=0.1))
async def secretive(job: Job[Payload]) -> None:
    """Reports the secret in every way. A second attempt must find it in the checkpoint."""
    payload = job.payload
    if job.attempt == 2 and job.checkpoint(str) != payload.secret:
        raise AssertionError("The checkpoint is another one.")
    if job.definition and job.definition.parts[0].path != payload.secret:
        raise AssertionError("The definition is another one.")
    await job.progress(0.5, payload.secret)
    await job.save_checkpoint(payload.secret)
    log.warning("%s", payload.logged)
    if job.attempt <= payload.failures:
        raise RuntimeError(payload.secret)
