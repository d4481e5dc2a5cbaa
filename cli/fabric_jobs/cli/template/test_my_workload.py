"""Tests of the handlers. Each job runs in memory, and `asyncio.sleep` takes no real time."""

from my_workload import executor

from fabric_jobs.executor.testing import run_job

REFRESH = ("Contoso.MyWorkload.Item", "refresh")


def test_refresh_reports_progress_before_each_part() -> None:
    outcome = run_job(executor, *REFRESH, {"table": "orders", "parts": 3})

    assert outcome.status == "Completed"
    assert [progress.message for progress in outcome.progress] == [
        "orders, part 1",
        "orders, part 2",
        "orders, part 3",
    ]


def test_refresh_cancelled_during_a_part_starts_no_further_part() -> None:
    outcome = run_job(executor, *REFRESH, cancel_when=lambda progress: progress.fraction >= 0.5)

    assert outcome.status == "Cancelled"
    assert outcome.progress[-1].message == "sales, part 4"


def test_refresh_of_a_locked_table_fails_without_a_retry() -> None:
    outcome = run_job(executor, *REFRESH, {"table": "locked"})

    assert outcome.error is not None
    assert (outcome.error.error_code, outcome.error.source) == ("TableLocked", "User")
    assert outcome.attempts == 1


def test_refresh_with_an_invalid_payload_fails() -> None:
    outcome = run_job(executor, *REFRESH, {"parts": 0})

    assert outcome.error is not None
    assert outcome.error.error_code == "PayloadInvalid"


def test_refresh_beyond_its_run_timeout_is_retried_and_then_fails() -> None:
    outcome = run_job(executor, *REFRESH, {"parts": 1000})

    assert outcome.error is not None
    assert outcome.error.error_code == "RunTimedOut"
    assert outcome.attempts == 3
