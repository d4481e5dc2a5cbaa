"""The advice about a job's error."""

from fabric_jobs.contract.errors import HANDLER_ERROR
from fabric_jobs.executor.errors import PAYLOAD_INVALID
from fabric_jobs.facade.monitor.advice import ADVICE_BY_CODE, advice
from tests.support.lifecycle import failure


def test_advice_on_a_code_of_fabric_jobs_is_that_of_the_code() -> None:
    """The codes that executors set have advice too."""
    assert {HANDLER_ERROR, PAYLOAD_INVALID} < ADVICE_BY_CODE.keys()
    assert advice(failure("RunTimedOut")) == ADVICE_BY_CODE["RunTimedOut"]


def test_advice_on_an_unknown_code_is_that_of_the_error_source() -> None:
    """Handlers may use any code."""
    assert advice(failure("Anything")) == "Look at the service that the handler called."
