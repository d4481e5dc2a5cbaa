"""Restarts work that fails, with a jittered, exponential backoff."""

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

from fabric_jobs.executor.errors import HelloRefusedError
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError

log = logging.getLogger("fabric_jobs.executor")

#: Seconds after which the work counts as healthy. A later failure restarts it at once, and its
#: backoff begins again with the shortest wait.
HEALTHY_S = 10.0
MAX_BACKOFF_S = 10.0
#: The errors after which another try would be refused too.
REFUSALS = (HelloRefusedError, KafkaRefusedError)


async def run_with_restarts(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` forever: calls it again whenever it returns or fails. `name` is for the log.

    Raises those of `REFUSALS` that the work raises.
    """

    def log_failure(state: RetryCallState) -> None:
        assert state.outcome is not None
        log.warning(
            "%s: %s. Trying again in %.1f s",
            name,
            _text(state.outcome.exception()),
            state.upcoming_sleep,
        )

    while True:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Exception) & retry_if_not_exception_type(REFUSALS),
            wait=wait_random_exponential(multiplier=0.2, max=MAX_BACKOFF_S),
            before_sleep=log_failure,
        ):
            with attempt:
                begin = time.monotonic()
                try:
                    await work()
                except REFUSALS:
                    raise
                except Exception as error:
                    if time.monotonic() - begin < HEALTHY_S:
                        raise
                    log.warning("%s: %s. Trying again now", name, _text(error))


def _text(error: BaseException | None) -> str:
    """Returns the error's message without the full stop at its end."""
    return str(error).removesuffix(".")
