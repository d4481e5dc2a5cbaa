"""Each job in memory: nothing else runs, and nothing is waited for."""

from my_workload import executor

from fabric_jobs.executor.testing import run_job

REFRESH = ("Contoso.MyWorkload.Item", "refresh")


def test_a_table_is_refreshed_part_by_part() -> None:
    outcome = run_job(executor, *REFRESH, {"table": "orders", "parts": 3})

    assert outcome.status == "Completed"
    assert [said.message for said in outcome.progress] == [
        "orders, part 1",
        "orders, part 2",
        "orders, part 3",
    ]


def test_a_cancel_ends_it_between_two_parts() -> None:
    outcome = run_job(executor, *REFRESH, cancel_when=lambda said: said.fraction >= 0.5)

    assert outcome.status == "Cancelled"
    assert outcome.progress[-1].message == "sales, part 4"


def test_a_locked_table_is_for_the_user_to_unlock() -> None:
    outcome = run_job(executor, *REFRESH, {"table": "locked"})

    assert outcome.error is not None
    assert (outcome.error.error_code, outcome.error.source) == ("TableLocked", "User")
    assert outcome.attempts == 1


def test_a_payload_that_does_not_fit_fails_the_job() -> None:
    outcome = run_job(executor, *REFRESH, {"parts": 0})

    assert outcome.error is not None
    assert outcome.error.error_code == "PayloadInvalid"


def test_a_refresh_that_takes_too_long_is_tried_again_and_then_fails() -> None:
    outcome = run_job(executor, *REFRESH, {"parts": 1000})

    assert outcome.error is not None
    assert outcome.error.error_code == "RunTimedOut"
    assert outcome.attempts == 3
