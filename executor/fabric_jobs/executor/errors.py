"""The errors of the executor: what a handler may raise, and what its author got wrong."""

from fabric_jobs.contract.jobs import ErrorResponse, ErrorSource
from fabric_jobs.contract.wire import utf8_text

HANDLER_ERROR = "HandlerError"
PAYLOAD_INVALID = "PayloadInvalid"


class ExecutorError(Exception):
    """The base of this package's errors."""


class HandlerDefinitionError(ExecutorError):
    """Raised at decoration: the function can't be the handler of that job type."""


class NoHandlersError(ExecutorError):
    """Raised by `serve`: the executor has no handler, so there is nothing it could run."""


class JobStopped(ExecutorError):  # noqa: N818 - reads as what became of the job
    """Raise it in a handler that sees `job.cancel_requested`: the job ends as cancelled."""


class JobFailed(ExecutorError):  # noqa: N818 - reads as what became of the job
    """Raise it in a handler to choose the error that Fabric shows.

    A permanent error ends the job; any other is tried again where the job's policy allows.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = HANDLER_ERROR,
        source: ErrorSource | str = ErrorSource.SYSTEM,
        permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.response = ErrorResponse(
            error_code=utf8_text(code),
            message=utf8_text(str(message)),
            source=ErrorSource(source),
            is_permanent=permanent,
        )


class PayloadInvalidError(JobFailed):
    """Raised before the handler is called: the creation payload is not of its payload type."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=PAYLOAD_INVALID, source=ErrorSource.USER, permanent=True)
