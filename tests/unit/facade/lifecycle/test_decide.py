"""What an event carries beside its phase: numbers, times, the dispatch."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import RequeuedData, RequeueReason
from fabric_jobs.contract.jobs import MAX_PROGRESS_CHARS, JobInstanceStatus, Progress
from fabric_jobs.facade.lifecycle import Command, Job, Settled, decide
from tests.support.lifecycle import (
    EPOCH,
    JOB,
    PAYLOAD,
    POLICY,
    TRACEPARENT,
    WAYS,
    A,
    B,
    at,
    cancel,
    claim,
    completed,
    decided,
    driven,
    failed,
    failure,
    hand_back,
    job_in,
    lose_lease,
    progressed,
    request,
    retry,
    stamp,
    stopped,
)

#: Everything that ends an attempt so that another follows, and what it adds to `failures`.
AGAIN: dict[str, tuple[tuple[Command, ...], int]] = {
    "failed and retried": ((failed(), retry()), 1),
    "lease lost": ((lose_lease(),), 1),
    "handed back": ((hand_back(),), 0),
}
RUNNING = WAYS["running"]


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_attempt_rises_on_every_dispatch_and_failures_not_on_a_hand_back(
    commands: tuple[Command, ...], failures: int
) -> None:
    """Each way to another attempt raises `attempt` by one; a hand-back counts no failure."""
    job = driven([*RUNNING, *commands])
    assert (job.state.attempt, job.state.failures) == (2, failures)


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_a_dispatch_has_no_executor_no_policy_and_its_own_id(
    commands: tuple[Command, ...], failures: int
) -> None:
    """After a requeue nobody holds the attempt, and its claims must name the new record."""
    before, job = driven(RUNNING), driven([*RUNNING, *commands])
    assert (job.state.executor_id, job.state.policy, job.state.due_time) == (None, None, None)
    assert (job.dispatch_id, before.dispatch_id) == (job.event_id, "e1")
    assert job.payload == PAYLOAD


@pytest.mark.parametrize(
    ("commands", "last", "reason"),
    [
        ([*RUNNING, failed()], retry(), RequeueReason.RETRY_DUE),
        (RUNNING, hand_back(), RequeueReason.HANDED_BACK),
        (RUNNING, lose_lease(), RequeueReason.LEASE_LOST),
    ],
    ids=str,
)
def test_a_requeue_says_why_and_carries_the_payload(
    commands: list[Command], last: Command, reason: RequeueReason
) -> None:
    """`requeued` dispatches: it carries its reason and all that an executor needs."""
    event = decided(driven(commands), last, stamp())
    assert isinstance(event.data, RequeuedData)
    assert event.data.reason is reason
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == PAYLOAD


def test_requested_carries_the_request_and_what_an_executor_needs() -> None:
    """The first event holds the request's own words, sequence 1 and follows nothing."""
    command = request()
    event = decided(None, command, stamp("e1", 5))
    state = event.data.state
    for field in ("tenant_id", "workspace_id", "item_type", "item_id", "job_type", "request_hash"):
        assert getattr(state, field) == getattr(command, field)
    assert (event.id, event.subject, event.source, event.time) == ("e1", JOB, "/replicas/1", at(5))
    assert (event.data.sequence, event.data.follows) == (1, None)
    assert (state.attempt, state.failures, state.create_time) == (1, 0, at(5))
    assert (state.start_time, state.end_time, state.executor_id) == (None, None, None)
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == PAYLOAD


def test_every_event_names_its_job_its_place_and_the_trace() -> None:
    """Sequence is one more, `follows` is the last event's id, the trace context stays."""
    for name, way in WAYS.items():
        for place in range(1, len(way)):
            job = driven(way[:place])
            event = decided(job, _on(job, way[place]), stamp("next"))
            assert (event.data.sequence, event.data.follows) == (place + 1, f"e{place}"), name
            assert (event.subject, event.traceparent) == (JOB, TRACEPARENT), name


def _on(job: Job, command: Command) -> Command:
    if isinstance(command, type(claim(1, A, "e1"))):
        return claim(command.attempt, command.executor_id, job.dispatch_id)
    return command


def test_started_records_the_executor_and_its_policy() -> None:
    """The policy that came in the claim is the one that the grant records."""
    state = driven(RUNNING).state
    assert (state.executor_id, state.policy) == (A, POLICY)


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_the_first_start_is_kept_over_attempts(
    commands: tuple[Command, ...], failures: int
) -> None:
    """`start_time` is the first start of any attempt, and the job stays InProgress meanwhile."""
    waiting = driven([*RUNNING, *commands])
    again = driven([claim(2, B, "")], waiting)
    assert waiting.state.status is again.state.status is JobInstanceStatus.IN_PROGRESS
    assert (waiting.state.start_time, again.state.start_time) == (at(2), at(2))
    assert again.state.executor_id == B


def test_a_new_attempt_starts_without_progress() -> None:
    """What the earlier run reported is not shown as the new one's."""
    job = driven([*RUNNING, progressed(), hand_back(), claim(2, B, "")])
    assert job.state.progress is None


@pytest.mark.parametrize("name", WAYS)
def test_the_end_time_is_set_by_a_final_event_only(name: str) -> None:
    """`end_time` is the final event's time, and there is none before it."""
    job = job_in(name)
    if job is None:
        assert name == "unknown"
    elif job.final:
        assert job.state.end_time == at(job.sequence)
        assert job.state.due_time is None
    else:
        assert job.state.end_time is None


def test_a_completion_that_comes_first_stays() -> None:
    """A run that returned in spite of a pending cancel is Completed, and no cancel changes it."""
    job = driven([*WAYS["stopping"], completed()])
    assert job.state.status is JobInstanceStatus.COMPLETED
    assert decide(job, cancel(), stamp()) == Settled(job)


@pytest.mark.parametrize(
    "commands",
    [
        [request()],
        [*RUNNING],
        [*RUNNING, progressed()],
        [*RUNNING, completed()],
        [*RUNNING, failed()],
        [*RUNNING, failed(error=failure(permanent=True))],
        [*RUNNING, cancel()],
        [*RUNNING, cancel(), stopped()],
        [*RUNNING, cancel(), hand_back()],
        [*RUNNING, cancel(), lose_lease()],
        [*RUNNING, failed(), retry()],
    ],
    ids=lambda commands: " ".join(type(command).__name__ for command in commands),
)
def test_a_repeated_command_settles_without_an_event(commands: list[Command]) -> None:
    """Its effect is in the state already: success, and nothing is appended."""
    job = driven(commands)
    assert decide(job, commands[-1], stamp("again", 99)) == Settled(job)


def test_a_repeated_claim_is_granted_again_without_an_event() -> None:
    """The same executor is told yes once more, also after progress and with a cancel pending."""
    for commands in ([*RUNNING], [*RUNNING, progressed()], [*RUNNING, cancel()]):
        job = driven(commands)
        assert decide(job, claim(1, A, "e1"), stamp()) == Settled(job)


def test_a_further_attempt_s_dispatch_names_the_claim_of_the_one_before() -> None:
    """So that its spans can be linked to it; a claim that is not traced leaves none."""
    traced = replace(claim(1, A, "e1"), traceparent=TRACEPARENT)
    again = driven([request(), traced, failed(), retry()])
    untraced = driven([claim(2, A, "e4")], again)

    assert again.state.claim_traceparent == TRACEPARENT
    assert untraced.state.claim_traceparent is None


def test_progress_is_an_event_only_where_it_differs() -> None:
    """Another fraction or another text is told; the same is not."""
    job = driven([*RUNNING, progressed(fraction=0.5, message="half")])
    assert job.state.progress == Progress(0.5, "half")
    for other in (progressed(fraction=0.6, message="half"), progressed(message="more")):
        assert isinstance(decide(job, other, stamp()), events.Progressed)


def test_a_long_progress_text_is_cut_and_its_repetition_settles() -> None:
    """The text is cut to its bound before it is compared, so a repeated report adds no event."""
    report = progressed(message="x" * 5_000)
    job = driven([*RUNNING, report])
    assert job.state.progress == Progress(0.5, "x" * MAX_PROGRESS_CHARS)
    assert decide(job, report, stamp()) == Settled(job)


def test_deciding_uses_no_clock_of_its_own() -> None:
    """The same job, command and stamp give the same event, with the stamp's time."""
    job = driven(RUNNING)
    first, second = (decided(job, completed(), stamp("e3", 77)) for _ in range(2))
    assert first == second
    assert first.time == first.data.state.end_time == at(77)
    assert first.time > EPOCH
