"""What to do about a job's error."""

from fabric_jobs.contract.jobs import ErrorResponse, ErrorSource

#: By the code of an error of ours; a handler may choose any other.
OF_CODE = {
    "HandlerError": "The handler raised it: its event, and the executor's log, have the traceback.",
    "PayloadInvalid": "The payload is not what the handler takes: mend the caller, or the "
    "handler's payload type.",
    "JobNotStarted": "See Executors for who has a handler for this job type, and a free slot.",
    "RunTimedOut": "Find out what the handler waited for, or raise its run timeout.",
    "JobExpired": "Split the work: no job may take longer.",
    "ExecutorLost": "Look for that executor's end: killed, out of memory, or cut off from the "
    "facades.",
}
_OF_SOURCE = {
    ErrorSource.SYSTEM: "The executor's log says more.",
    ErrorSource.USER: "Whoever asked for the job must change what was asked.",
    ErrorSource.EXTERNAL: "Look at the service that the handler called.",
}


def advice(error: ErrorResponse) -> str:
    """A sentence for whoever looks after the jobs."""
    return OF_CODE.get(error.error_code, _OF_SOURCE[error.source])
