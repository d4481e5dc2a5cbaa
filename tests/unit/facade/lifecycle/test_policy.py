"""What the policy makes of a failure: backoffs, attempts, permanent errors, timeouts."""

import msgspec
import pytest

from fabric_jobs.contract import events
from fabric_jobs.contract.failures import backoff_s
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, Policy
from fabric_jobs.facade.lifecycle import MAX_LIFE, Command, Expire, FailUnstarted, decide
from fabric_jobs.facade.lifecycle.deadlines import due
from tests.support.lifecycle import (
    JOB,
    POLICY,
    WAYS,
    A,
    B,
    at,
    cancel,
    claim,
    completed,
    deadlines,
    decided,
    driven,
    failed,
    failure,
    hand_back,
    job_in,
    lose_lease,
    request,
    retry,
    stamp,
)

RUNNING = WAYS["running"]


def test_the_due_time_grows_with_the_backoff() -> None:
    """2 s after the first failure, 6 s after the second; a hand-back between changes nothing."""
    once = driven([*RUNNING, failed()])
    assert once.state.due_time == at(3 + 2)
    twice = driven([retry(), claim(2, B, ""), hand_back(2, B), claim(3, A, ""), failed(3)], once)
    assert twice.state.due_time == at(twice.sequence + 6)


def test_the_backoff_is_capped_and_only_ever_shortened_by_jitter() -> None:
    """Each wait lies between its cap less the jitter and its cap, and is the same each time."""
    policy = Policy(initial_backoff_s=1, backoff_multiplier=2, max_backoff_s=5, jitter=0.5)
    for failures, full in ((1, 1), (2, 2), (3, 4), (4, 5), (50, 5), (10_000, 5)):
        waits = [backoff_s(policy, failures, f"job-{n}") for n in range(20)]
        assert all(full * 0.5 <= wait <= full for wait in waits)
        assert len(set(waits)) > 10
        assert waits == [backoff_s(policy, failures, f"job-{n}") for n in range(20)]


def test_a_backoff_past_the_calendar_still_leads_to_an_event() -> None:
    """A policy that the contract takes never makes a report fail for lack of dates."""
    policy = _taken({"maxAttempts": 2, "initialBackoffS": 3e11, "maxBackoffS": 3e11})
    job = driven([request(), claim(1, A, "", policy=policy or POLICY)])
    assert isinstance(decide(job, failed(), stamp()), events.AttemptFailed)


@pytest.mark.parametrize("name", ["running", "stopping"])
def test_a_timeout_past_the_calendar_still_leaves_the_job_its_longest_life(name: str) -> None:
    """No policy that the contract takes makes a replica's timers fail on the job."""
    policy = _taken({"runTimeoutS": 3e11, "cancelGraceS": 3e11}) or Policy(cancel_grace_s=2e5)
    start, *rest = [claim(1, A, "", policy=policy), *WAYS[name][2:]]
    job = driven([request(), start, *rest])
    assert due(job) == (job.state.create_time + MAX_LIFE, Expire(job_id=JOB))


def _taken(values: dict[str, float]) -> Policy | None:
    """The policy as it would come over the wire; none where the contract refuses it."""
    try:
        return msgspec.convert(values, Policy)
    except msgspec.ValidationError:
        return None


def test_the_policy_says_how_many_failures_end_the_job() -> None:
    """With three attempts, two failures of any kind lead to a run each; the third ends the job."""
    job = driven([*RUNNING, failed(), retry(), claim(2, B, ""), lose_lease(2, B), claim(3, A, "")])
    assert job.state.failures == 2
    for last in (failed(3), lose_lease(3)):
        final = driven([last], job).state
        assert (final.status, final.failures) == (JobInstanceStatus.FAILED, 3)


ONCE = Policy(max_attempts=1)
TIME_OUT, FORCE_CANCEL = deadlines()


@pytest.mark.parametrize(
    "last", [failed(), lose_lease(), TIME_OUT], ids=["failed", "lease lost", "timed out"]
)
def test_a_job_whose_attempts_are_used_up_is_exhausted(last: Command) -> None:
    """However the last one failed; be the policy's one attempt all there was."""
    job = driven([request(), claim(1, A, "", policy=ONCE), last])
    assert (job.state.status, job.state.exhausted) == (JobInstanceStatus.FAILED, True)


def test_an_earlier_failure_exhausts_nothing() -> None:
    """The job goes on."""
    assert not driven([*RUNNING, failed()]).state.exhausted


@pytest.mark.parametrize(
    "commands",
    [
        [request(), FailUnstarted(job_id=JOB)],
        [request(), claim(1, A, "", policy=ONCE), failed(error=failure(permanent=True))],
        [request(), claim(1, A, "", policy=ONCE), Expire(job_id=JOB)],
        [request(), claim(1, A, "", policy=ONCE), cancel(), failed()],
        [request(), claim(1, A, "", policy=ONCE), cancel(), FORCE_CANCEL],
        [request(), claim(1, A, "", policy=ONCE), completed()],
    ],
    ids=["not started", "permanent", "expired", "cancelled", "forced", "completed"],
)
def test_a_job_that_ends_for_another_reason_is_not_exhausted(commands: list[Command]) -> None:
    """Also where its failures are as many as its attempts."""
    job = driven(commands)
    assert job.final
    assert not job.state.exhausted


def test_hand_backs_never_exhaust_the_policy() -> None:
    """A run given back at every drain goes on for ever, also where one attempt is all there is."""
    job = driven([request()])
    for attempt in range(1, 6):
        job = driven([claim(attempt, A, "", policy=ONCE), hand_back(attempt)], job)
    assert (job.state.attempt, job.state.failures) == (6, 0)
    assert job.state.phase is JobPhase.QUEUED


def test_a_permanent_error_is_not_retried() -> None:
    """It ends the job at its first failure, also while a cancel is pending."""
    for name in ("running", "stopping"):
        job = job_in(name)
        event = decided(job, failed(error=failure("Broken", permanent=True)), stamp())
        assert isinstance(event, events.Failed)
        assert event.data.state.failures == 1
        assert event.data.state.error == failure("Broken", permanent=True)


@pytest.mark.parametrize("last", [failed(), lose_lease()], ids=["failed", "lease lost"])
def test_a_pending_cancel_turns_what_would_be_retried_into_cancelled(last: Command) -> None:
    """Nobody wants another attempt; the failure is counted and its error kept."""
    state = driven([*WAYS["stopping"], last]).state
    assert (state.status, state.failures) == (JobInstanceStatus.CANCELLED, 1)
    assert state.error is not None
