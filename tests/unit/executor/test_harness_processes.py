"""The testing kit with handlers in processes of their own."""

import pytest

from fabric_jobs.executor.testing import run_job
from tests.support.configured_handlers import executor as configured
from tests.support.process_handlers import ITEM_TYPE, executor


def test_run_job_of_a_handler_in_a_process_observes_all_its_progress() -> None:
    """An executor sends at most one progress a second."""
    outcome = run_job(executor, ITEM_TYPE, "reporting", {"size": 7})

    assert outcome.status == "Completed"
    assert len(outcome.progress) == 1000


def test_run_job_of_a_handler_in_a_process_validates_a_pydantic_payload() -> None:
    """The process decodes it as the executor does, with the same errors."""
    valid = run_job(executor, ITEM_TYPE, "pydantic", {"rows": 3})
    invalid = run_job(executor, ITEM_TYPE, "pydantic", {"rows": 0})

    assert valid.progress[-1].message == "Order of 3"
    assert invalid.error is not None
    assert invalid.error.error_code == "PayloadInvalid"
    assert "greater than 0 - at `$.rows`" in invalid.error.message


def test_run_job_of_a_handler_whose_process_is_killed_retries_it() -> None:
    """A killed handler is retried by its policy."""
    outcome = run_job(executor, ITEM_TYPE, "killed")

    assert outcome.status == "Completed"
    assert outcome.attempts == 2


def test_run_job_of_a_handler_whose_module_configures_logging_logs_its_lines(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The lines would lose their ids and the log tail. They are not printed a second time."""
    with caplog.at_level("INFO"):
        outcome = run_job(configured, ITEM_TYPE, "logging")

    assert outcome.status == "Completed"
    assert "a line of the handler" in caplog.messages
    assert "a line of the handler" not in capfd.readouterr().err


def test_run_job_with_a_cancel_shows_it_at_the_next_check_of_a_handler_in_a_process() -> None:
    """The handler does not get beyond the step at which it is cancelled."""
    outcome = run_job(
        executor, ITEM_TYPE, "checking", cancel_when=lambda progress: progress.fraction >= 0.5
    )

    assert outcome.status == "Cancelled"
    assert outcome.progress[-1].fraction == 0.5


@pytest.mark.parametrize("job_type", ["deaf", "holding-gil"])
def test_run_job_of_a_handler_in_a_process_that_ignores_its_cancel_ends_it(job_type: str) -> None:
    """The handler has a cancel grace of one second; then its process is killed."""
    outcome = run_job(executor, ITEM_TYPE, job_type, cancel_after_s=1)

    assert outcome.status == "Cancelled"
    assert outcome.took_s < 4
