"""Keeps a connection's work going: what fails is begun again, after a moment."""

import logging
import time
from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_random_exponential,
)

from fabric_jobs.runtime.kafka.clients import KafkaRefusedError

log = logging.getLogger("fabric_jobs.executor")

#: Seconds after which work that fails counts as having been well: its backoff starts anew.
STEADY_S = 10.0
MAX_BACKOFF_S = 10.0


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Runs the work for ever; where it fails soon, with a jittered, exponential backoff.

    Raises `KafkaRefusedError`.
    """

    def report(state: RetryCallState) -> None:
        assert state.outcome is not None
        log.warning(
            "%s: %s; again in %.1f s", name, state.outcome.exception(), state.upcoming_sleep
        )

    while True:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Exception)
            & retry_if_not_exception_type(KafkaRefusedError),
            wait=wait_random_exponential(multiplier=0.2, max=MAX_BACKOFF_S),
            before_sleep=report,
        ):
            with attempt:
                began = time.monotonic()
                try:
                    await work()
                except KafkaRefusedError:
                    raise
                except Exception as error:
                    if time.monotonic() - began < STEADY_S:
                        raise
                    log.warning("%s: %s; again now", name, error)
