"""Advice about a job's error, for the people who operate the service."""

from fabric_jobs.contract.errors import ErrorResponse, ErrorSource

#: The advice for each error code that fabric-jobs itself uses. A handler may use any other code.
ADVICE_BY_CODE = {
    "HandlerError": "The handler raised this error. Its traceback is in the job's events and in "
    "the executor's log.",
    "PayloadInvalid": "The payload does not fit the handler's payload type. Fix the caller or the "
    "payload type.",
    "JobNotStarted": "Look at the page Executors: does an executor have a handler for this job "
    "type, and a free slot?",
    "JobTypePaused": "Resume the job type on the page Job types, then run the job again.",
    "RunTimedOut": "Find out what the handler waited for, or raise its run timeout.",
    "JobExpired": "No job may take longer. Split the work into several jobs.",
    "ExecutorLost": "Find out how this executor ended: it was killed, ran out of memory, or lost "
    "its connection to the facades.",
}
_ADVICE_BY_SOURCE = {
    ErrorSource.SYSTEM: "The executor's log has details.",
    ErrorSource.USER: "The person who requested the job must change the request.",
    ErrorSource.EXTERNAL: "Look at the service that the handler called.",
}


def advice(error: ErrorResponse) -> str:
    """Returns what to do about the error, in one or two sentences."""
    return ADVICE_BY_CODE.get(error.error_code, _ADVICE_BY_SOURCE[error.source])
