"""The known bugs of the lifecycle's pure functions."""

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import (
    Claim,
    Expire,
    JobDeadline,
    Refusal,
    Request,
    Retry,
    Settled,
    Verdict,
    decide,
    fold,
    next_deadline,
)
from fabric_jobs.facade.lifecycle.decision import Reason
from fabric_jobs.facade.lifecycle.follow import dispatch_of
from tests.simulation.bug_registry import bug, replaced_in_tests_too


@bug("a claim is granted although another executor holds the attempt", decide)
def _grants_twice() -> AbstractContextManager[Any]:
    def wrong(job: Any, command: Any, stamp: Any) -> Any:
        decision = decide(job, command, stamp)
        if isinstance(decision, Refusal) and decision.reason is Reason.GRANTED_TO_ANOTHER:
            return Settled(job)
        return decision

    return replaced_in_tests_too({decide: wrong})


@bug("a facade that is behind grants a run again that has ended", decide)
def _grants_ended_runs() -> AbstractContextManager[Any]:
    def wrong(job: Any, command: Any, stamp: Any) -> Any:
        decision = decide(job, command, stamp)
        is_repeated = isinstance(command, Claim) and isinstance(decision, Settled)
        return replace(decision, conclusive=True) if is_repeated else decision

    return replaced_in_tests_too({decide: wrong})


@bug("a create with another payload counts as a repetition", decide)
def _ignores_content() -> AbstractContextManager[Any]:
    def wrong(job: Any, command: Any, stamp: Any) -> Any:
        if isinstance(command, Request) and job is not None:
            return Settled(job)
        return decide(job, command, stamp)

    return replaced_in_tests_too({decide: wrong})


@bug("the report of a superseded attempt is applied", decide)
def _ignores_attempts() -> AbstractContextManager[Any]:
    def wrong(job: Any, command: Any, stamp: Any) -> Any:
        held = job is not None and job.state.held and not isinstance(command, Claim)
        if held and hasattr(command, "executor_id"):
            command = replace(command, attempt=job.state.attempt, executor_id=job.state.executor_id)
        return decide(job, command, stamp)

    return replaced_in_tests_too({decide: wrong})


@bug("a backoff never ends", next_deadline)
def _never_retries() -> AbstractContextManager[Any]:
    def wrong(job: Any, longest_life: timedelta) -> Any:
        deadline = next_deadline(job, longest_life)
        if deadline and isinstance(deadline.command, Retry):
            last = job.state.create_time + longest_life
            return JobDeadline(last, Expire(job_id=job.job_id))
        return deadline

    return replaced_in_tests_too({next_deadline: wrong})


@bug("the loser of a race is applied", fold)
def _applies_losers() -> AbstractContextManager[Any]:
    def wrong(job: Any, event: Any) -> Any:
        if job and event.data.sequence == job.sequence and event.id != job.event_id:
            return Verdict.APPLIED, replace(job, state=event.data.state, event_id=event.id)
        return fold(job, event)

    return replaced_in_tests_too({fold: wrong})


@bug("an event behind a final state is applied", fold)
def _applies_behind_the_end() -> AbstractContextManager[Any]:
    def wrong(job: Any, event: Any) -> Any:
        if job and job.final and event.data.sequence == job.sequence:
            return Verdict.APPLIED, replace(job, state=event.data.state)
        return fold(job, event)

    return replaced_in_tests_too({fold: wrong})


@bug("a requeue loses the checkpoint", dispatch_of)
def _loses_checkpoints() -> AbstractContextManager[Any]:
    return replaced_in_tests_too(
        {dispatch_of: lambda payload, definition, *_: dispatch_of(payload, definition)}
    )


@bug("a job in its backoff can't be cancelled", decide)
def _cancels_no_waiting() -> AbstractContextManager[Any]:
    def wrong(job: Any, command: Any, stamp: Any) -> Any:
        waits = job is not None and job.state.phase is JobPhase.WAITING
        if waits and type(command).__name__ == "RequestCancel":
            return Settled(job)
        return decide(job, command, stamp)

    return replaced_in_tests_too({decide: wrong})
