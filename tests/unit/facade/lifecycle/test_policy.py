"""What a policy makes of a failure: backoffs, attempts, permanent errors, timeouts."""

import msgspec
import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import decode, encode
from fabric_jobs.contract.failures import MAX_LONGEST_LIFE
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, Policy
from fabric_jobs.contract.scalars import MAX_COUNT
from fabric_jobs.facade.lifecycle import Command, Expire, FailUnstarted, decide
from fabric_jobs.facade.lifecycle.deadlines import next_deadline
from tests.support.lifecycle import (
    FOREVER,
    JOB,
    POLICY,
    WAYS,
    A,
    B,
    at,
    cancel,
    claim,
    deadline_commands,
    decide_event,
    drive,
    failure,
    hand_back,
    job_in,
    lose_lease,
    report_completed,
    report_failed,
    request,
    retry,
    stamp,
)

RUNNING = WAYS["running"]


def test_due_time_grows_with_each_failure() -> None:
    """2 s after the first failure, 6 s after the second; a hand-back in between changes nothing."""
    once = drive([*RUNNING, report_failed()])
    assert once.state.due_time == at(3 + 2)
    twice = drive(
        [retry(), claim(2, B, ""), hand_back(2, B), claim(3, A, ""), report_failed(3)], once
    )
    assert twice.state.due_time == at(twice.sequence + 6)


def test_failure_with_backoff_beyond_the_calendar_leads_to_an_event() -> None:
    """No policy that the contract accepts makes a report fail because a date is out of range."""
    policy = _policy_of({"maxAttempts": 2, "initialBackoffS": 3e11, "maxBackoffS": 3e11})
    job = drive([request(), claim(1, A, "", policy=policy or POLICY)])
    assert isinstance(decide(job, report_failed(), stamp()), events.AttemptFailed)


@pytest.mark.parametrize("name", ["running", "stopping"])
def test_next_deadline_with_timeout_beyond_the_calendar_is_the_longest_life(name: str) -> None:
    """No policy that the contract accepts makes the timers fail because a date is out of range."""
    policy = _policy_of({"runTimeoutS": 3e11, "cancelGraceS": 3e11}) or Policy(cancel_grace_s=3e6)
    start, *rest = [claim(1, A, "", policy=policy), *WAYS[name][2:]]
    job = drive([request(), start, *rest])
    longest = MAX_LONGEST_LIFE
    expire = Expire(job_id=JOB, longest_life=longest)
    assert next_deadline(job, longest) == (job.state.create_time + longest, expire)


def _policy_of(values: dict[str, float]) -> Policy | None:
    """The policy with these wire values; None if the contract refuses them."""
    try:
        return msgspec.convert(values, Policy)
    except msgspec.ValidationError:
        return None


def test_job_fails_when_its_failures_reach_max_attempts() -> None:
    """With three attempts, two failures of any kind lead to another run; the third ends the job."""
    job = drive(
        [*RUNNING, report_failed(), retry(), claim(2, B, ""), lose_lease(2, B), claim(3, A, "")]
    )
    assert job.state.failures == 2
    for last in (report_failed(3), lose_lease(3)):
        final = drive([last], job).state
        assert (final.status, final.failures) == (JobInstanceStatus.FAILED, 3)


ONCE = Policy(max_attempts=1)
TIME_OUT, FORCE_CANCEL = deadline_commands()


@pytest.mark.parametrize(
    "last", [report_failed(), lose_lease(), TIME_OUT], ids=["failed", "lease lost", "timed out"]
)
def test_job_is_exhausted_when_its_last_attempt_fails(last: Command) -> None:
    """This holds for every kind of failure, and also if the policy allows one attempt."""
    job = drive([request(), claim(1, A, "", policy=ONCE), last])
    assert (job.state.status, job.state.exhausted) == (JobInstanceStatus.FAILED, True)


def test_job_is_not_exhausted_while_attempts_are_left() -> None:
    """The job waits for its next attempt."""
    assert not drive([*RUNNING, report_failed()]).state.exhausted


@pytest.mark.parametrize(
    "commands",
    [
        [request(), FailUnstarted(job_id=JOB)],
        [request(), claim(1, A, "", policy=ONCE), report_failed(error=failure(permanent=True))],
        [request(), claim(1, A, "", policy=ONCE), Expire(job_id=JOB)],
        [request(), claim(1, A, "", policy=ONCE), cancel(), report_failed()],
        [request(), claim(1, A, "", policy=ONCE), cancel(), FORCE_CANCEL],
        [request(), claim(1, A, "", policy=ONCE), report_completed()],
    ],
    ids=["not started", "permanent", "expired", "cancelled", "forced", "completed"],
)
def test_job_that_ends_for_another_reason_is_not_exhausted(commands: list[Command]) -> None:
    """This holds also if its failures are as many as its attempts."""
    job = drive(commands)
    assert job.final
    assert not job.state.exhausted


def test_hand_backs_never_exhaust_the_policy() -> None:
    """A run that is handed back is always dispatched again, also if one attempt is allowed."""
    job = drive([request()])
    for attempt in range(1, 6):
        job = drive([claim(attempt, A, "", policy=ONCE), hand_back(attempt)], job)
    assert (job.state.attempt, job.state.failures) == (6, 0)
    assert job.state.phase is JobPhase.QUEUED


def test_permanent_error_ends_the_job_at_its_first_failure() -> None:
    """This holds also while a cancel is pending."""
    for name in ("running", "stopping"):
        job = job_in(name)
        event = decide_event(job, report_failed(error=failure("Broken", permanent=True)), stamp())
        assert isinstance(event, events.Failed)
        assert event.data.state.failures == 1
        assert event.data.state.error == failure("Broken", permanent=True)


@pytest.mark.parametrize("last", [report_failed(), lose_lease()], ids=["failed", "lease lost"])
def test_failure_with_pending_cancel_ends_the_job_as_cancelled(last: Command) -> None:
    """No other attempt follows. The failure is counted, and the job has no error."""
    state = drive([*WAYS["stopping"], last]).state
    assert (state.status, state.failures) == (JobInstanceStatus.CANCELLED, 1)
    assert (state.error, state.failed_attempt) == (None, None)


@pytest.mark.parametrize("command", [hand_back(MAX_COUNT), lose_lease(MAX_COUNT)])
def test_job_whose_attempts_are_used_up_fails_instead_of_a_dispatch(command: Command) -> None:
    """An event with a higher number of the attempt would be no event."""
    running = drive(WAYS["running"])
    last = replace(
        running, state=replace(running.state, attempt=MAX_COUNT, failures=MAX_COUNT, policy=FOREVER)
    )
    event = decide_event(last, command, stamp())
    assert isinstance(decode(encode(event)), events.Failed)
    assert event.data.state.failures == MAX_COUNT


def test_job_that_completes_after_a_failed_attempt_has_no_error() -> None:
    """The error of an earlier attempt does not hold for the job. `failures` still counts it."""
    state = drive([*WAYS["running again"], report_completed(2)]).state
    assert (state.status, state.failures) == (JobInstanceStatus.COMPLETED, 1)
    assert (state.error, state.failed_attempt) == (None, None)


def test_job_that_is_cancelled_while_it_waits_has_no_error() -> None:
    """A cancelled job did not fail."""
    state = drive([*WAYS["waiting"], cancel()]).state
    assert (state.status, state.error) == (JobInstanceStatus.CANCELLED, None)
