"""The executor's errors: those that a handler may raise, and those of a wrong definition."""

from typing import Literal

from msgspec.structs import replace

from fabric_jobs.contract.errors import (
    HANDLER_ERROR,
    MAX_CODE_CHARS,
    MAX_MESSAGE_CHARS,
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
)
from fabric_jobs.contract.wire import utf8_text

PAYLOAD_INVALID = "PayloadInvalid"
PROCESS_DIED = "HandlerProcessDied"
MEMORY_LIMIT = "MemoryLimitExceeded"
LIFESPAN_FAILED = "LifespanFailed"


class ExecutorError(Exception):
    """The base class of the executor's errors."""


class HandlerDefinitionError(ExecutorError):
    """Raised by `@executor.job` if the function can't be the handler of that job type."""


class NoHandlersError(ExecutorError):
    """Raised by `Executor.serve` if no handler is registered."""


class CheckpointError(ExecutorError):
    """Raised in a handler by `job.save_checkpoint` and `job.checkpoint`.

    The value is no JSON or too large, or the saved checkpoint is not of the requested type.
    """


class HelloRefusedError(ExecutorError):
    """Raised by `Executor.serve` if a facade refuses what the executor says of itself.

    An example is a `run_timeout_s` that is longer than the service's longest life of a job.
    """


class LifespanError(ExecutorError):
    """Raised by `Executor.serve` if the executor's lifespan fails to start or ends by itself."""


class JobStopped(ExecutorError):  # noqa: N818 - its name states the result of the job
    """Raise it in a handler whose `job.cancel_requested` is true: the job becomes Cancelled.

    If no cancel was requested, the attempt fails, as with any other exception.
    """


class JobFailed(ExecutorError):  # noqa: N818 - its name states the result of the job
    """Raise it in a handler to fail the attempt with the error that Fabric shows.

    `message` is the text for people. Say what went wrong and what the user can do. Fabric gets at
    most 2,048 characters of it.
    `code` identifies the error for programs. The default is `HandlerError`, also in place of an
    empty text. Fabric gets at most 128 characters of it.
    `source` says whose fault the error is: `System` (the default), `User` or `External`. Any other
    value raises `ValueError`.
    `permanent` says that a retry can't help: the job fails at once. Otherwise, which is the
    default, the attempt is retried if the handler's `retry` allows it.

    The traceback is kept for the handler's author only if this exception was raised `from`
    another exception.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = HANDLER_ERROR,
        source: ErrorSource | Literal["System", "User", "External"] = ErrorSource.SYSTEM,
        permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.response = ErrorResponse(
            error_code=utf8_text(str(code)[:MAX_CODE_CHARS]) or HANDLER_ERROR,
            message=utf8_text(str(message)[:MAX_MESSAGE_CHARS]),
            source=_read_source(source),
            is_permanent=permanent,
        )


def _read_source(source: str) -> ErrorSource:
    try:
        return ErrorSource(source)
    except ValueError:
        raise ValueError(f"source must be System, User or External, not {source!r}.") from None


class NoThreadError(ExecutorError):
    """Raised if the thread or the process that a handler needs can't be started.

    The job is not to blame, so it is handed back.
    """


class PayloadInvalidError(JobFailed):
    """Raised before the handler is called, if the payload is not of the handler's payload type.

    The error is permanent, and its source is the user.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, code=PAYLOAD_INVALID, source=ErrorSource.USER, permanent=True)


class AccessTokenError(JobFailed):
    """Raised in a handler if it can't have an access token.

    A handler that does not catch it fails with its error, which says what the user or the operator
    can do. If the user must consent, `details` are those that Fabric's front end understands.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        source: ErrorSource = ErrorSource.SYSTEM,
        permanent: bool = False,
        details: tuple[ErrorExtendedInformation, ...] = (),
    ) -> None:
        super().__init__(message, code=code, source=source, permanent=permanent)
        self.response = replace(self.response, more_details=details)

    @classmethod
    def of(cls, response: ErrorResponse) -> "AccessTokenError":
        """Returns the error with this response."""
        return cls(
            response.message,
            code=response.error_code,
            source=response.source,
            permanent=bool(response.is_permanent),
            details=response.more_details,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # A `multiprocessing` pool pickles the error of a worker, and raises it in the handler.
        return type(self).of, (self.response,)

    @property
    def code(self) -> str:
        """The error's code, such as `NoUserToken`."""
        return self.response.error_code

    @property
    def details(self) -> tuple[ErrorExtendedInformation, ...]:
        """What the user must consent to. Empty for every other error."""
        return self.response.more_details
