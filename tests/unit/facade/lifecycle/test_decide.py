"""The content of the events that `decide` returns: numbers, times, the dispatch."""

from collections.abc import Callable

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import RequeuedData, RequeueReason, Started
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import (
    MAX_PROGRESS_CHARS,
    JobInstanceStatus,
    JobState,
    Progress,
)
from fabric_jobs.facade.lifecycle import (
    Command,
    HandBack,
    Job,
    Reason,
    Refusal,
    ReportFailed,
    ReportStopped,
    Request,
    Settled,
    decide,
)
from tests.support.lifecycle import (
    EPOCH,
    JOB,
    PAYLOAD,
    POLICY,
    TENANT,
    TRACEPARENT,
    WAYS,
    A,
    B,
    at,
    cancel,
    claim,
    decide_event,
    drive,
    failure,
    hand_back,
    job_in,
    lose_lease,
    report_completed,
    report_failed,
    report_progress,
    report_stopped,
    request,
    retry,
    save_checkpoint,
    stamp,
)

#: Each way from one attempt to the next, and the number that it adds to `failures`.
AGAIN: dict[str, tuple[tuple[Command, ...], int]] = {
    "failed and retried": ((report_failed(), retry()), 1),
    "lease lost": ((lose_lease(),), 1),
    "handed back": ((hand_back(),), 0),
}
RUNNING = WAYS["running"]


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_requeue_raises_attempt_and_hand_back_counts_no_failure(
    commands: tuple[Command, ...], failures: int
) -> None:
    """Each way to another attempt raises `attempt`; a hand-back does not raise `failures`."""
    job = drive([*RUNNING, *commands])
    assert (job.state.attempt, job.state.failures) == (2, failures)


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_requeue_clears_executor_and_policy_and_sets_its_own_dispatch_id(
    commands: tuple[Command, ...], failures: int
) -> None:
    """After a requeue no executor holds the attempt, and a claim must name the new record."""
    before, job = drive(RUNNING), drive([*RUNNING, *commands])
    assert (job.state.executor_id, job.state.policy, job.state.due_time) == (None, None, None)
    assert (job.dispatch_id, before.dispatch_id) == (job.event_id, "e1")
    assert job.payload == PAYLOAD


@pytest.mark.parametrize(
    ("commands", "last", "reason"),
    [
        ([*RUNNING, report_failed()], retry(), RequeueReason.RETRY_DUE),
        (RUNNING, hand_back(), RequeueReason.HANDED_BACK),
        (RUNNING, lose_lease(), RequeueReason.LEASE_LOST),
    ],
    ids=str,
)
def test_requeued_event_carries_reason_and_payload(
    commands: list[Command], last: Command, reason: RequeueReason
) -> None:
    """`requeued` carries its reason and the payload, because an executor starts from it."""
    event = decide_event(drive(commands), last, stamp())
    assert isinstance(event.data, RequeuedData)
    assert event.data.reason is reason
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == PAYLOAD


def test_requested_event_carries_request_and_dispatch() -> None:
    """The first event has the request's fields, sequence 1, no predecessor and the payload."""
    command = replace(
        request(), activity_id="activity", request_id="r", retry_of=TENANT, grant_id="grant"
    )
    event = decide_event(None, command, stamp("e1", 5))
    state = event.data.state
    for field in {*Request.__struct_fields__} & {*JobState.__struct_fields__}:
        assert getattr(state, field) == getattr(command, field), field
    assert (event.id, event.subject, event.source, event.time) == ("e1", JOB, "/replicas/1", at(5))
    assert (event.data.sequence, event.data.follows) == (1, None)
    assert (state.attempt, state.failures, state.create_time) == (1, 0, at(5))
    assert (state.start_time, state.end_time, state.executor_id) == (None, None, None)
    assert event.data.dispatch is not UNSET
    assert bytes(event.data.dispatch.payload) == PAYLOAD


def test_every_event_has_next_sequence_predecessor_and_trace_context() -> None:
    """The sequence is one higher, `follows` is the last event's id, the trace context stays."""
    for name, way in WAYS.items():
        for place in range(1, len(way)):
            job = drive(way[:place])
            event = decide_event(job, _on(job, way[place]), stamp("next"))
            assert (event.data.sequence, event.data.follows) == (place + 1, f"e{place}"), name
            assert (event.subject, event.traceparent) == (JOB, TRACEPARENT), name


def _on(job: Job, command: Command) -> Command:
    if isinstance(command, type(claim(1, A, "e1"))):
        return claim(command.attempt, command.executor_id, job.dispatch_id)
    return command


def test_started_event_records_executor_and_policy_of_the_claim() -> None:
    """The granted claim's executor and policy are in the state."""
    state = drive(RUNNING).state
    assert (state.executor_id, state.policy) == (A, POLICY)


@pytest.mark.parametrize(("commands", "failures"), AGAIN.values(), ids=AGAIN)
def test_second_attempt_keeps_the_first_start_time(
    commands: tuple[Command, ...], failures: int
) -> None:
    """`start_time` is the first start of any attempt, and the job stays InProgress in between."""
    waiting = drive([*RUNNING, *commands])
    again = drive([claim(2, B, "")], waiting)
    assert waiting.state.status is again.state.status is JobInstanceStatus.IN_PROGRESS
    assert (waiting.state.start_time, again.state.start_time) == (at(2), at(2))
    assert again.state.executor_id == B


def test_second_attempt_starts_without_progress() -> None:
    """The progress of the first run is not shown as that of the second."""
    job = drive([*RUNNING, report_progress(), hand_back(), claim(2, B, "")])
    assert job.state.progress is None


@pytest.mark.parametrize("name", WAYS)
def test_end_time_is_set_by_final_events_only(name: str) -> None:
    """`end_time` is the final event's time, and None before it."""
    job = job_in(name)
    if job is None:
        assert name == "unknown"
    elif job.final:
        assert job.state.end_time == at(job.sequence)
        assert job.state.due_time is None
    else:
        assert job.state.end_time is None


def test_cancel_after_completion_leaves_the_job_completed() -> None:
    """A run that completes with a cancel pending is Completed; a later cancel changes nothing."""
    job = drive([*WAYS["stopping"], report_completed()])
    assert job.state.status is JobInstanceStatus.COMPLETED
    assert decide(job, cancel(), stamp()) == Settled(job)


@pytest.mark.parametrize(
    "commands",
    [
        [request()],
        [*RUNNING, report_completed()],
        [*RUNNING, report_failed()],
        [*RUNNING, report_failed(error=failure(permanent=True))],
        [*RUNNING, cancel()],
        [*RUNNING, cancel(), report_stopped()],
        [*RUNNING, cancel(), hand_back()],
        [*RUNNING, cancel(), lose_lease()],
        [*RUNNING, report_failed(), retry()],
    ],
    ids=lambda commands: " ".join(type(command).__name__ for command in commands),
)
def test_repeated_command_settles_without_an_event(commands: list[Command]) -> None:
    """The state has the command's effect already: the command succeeds and nothing is appended."""
    job = drive(commands)
    assert decide(job, commands[-1], stamp("again", 99)) == Settled(job)


@pytest.mark.parametrize("first", [[], [report_progress()], [save_checkpoint()]])
def test_repeated_claim_or_value_of_a_run_settles_only_so_far(first: list[Command]) -> None:
    """The run may have ended since, or have reported another value: the log's end shows it."""
    for last in ([], [cancel()]):
        job = drive([*RUNNING, *first, *last])
        for repeated in (claim(1, A, "e1"), *first):
            assert decide(job, repeated, stamp()) == Settled(job, conclusive=False)


def test_requeue_keeps_trace_context_of_the_last_claim() -> None:
    """The next attempt's spans can be linked to the last claim; an untraced claim leaves none."""
    traced = replace(claim(1, A, "e1"), traceparent=TRACEPARENT)
    again = drive([request(), traced, report_failed(), retry()])
    untraced = drive([claim(2, A, "e4")], again)

    assert again.state.claim_traceparent == TRACEPARENT
    assert untraced.state.claim_traceparent is None


def test_progress_that_differs_leads_to_an_event() -> None:
    """Another fraction or another text leads to an event."""
    job = drive([*RUNNING, report_progress(fraction=0.5, message="half")])
    assert job.state.progress == Progress(0.5, "half")
    for other in (report_progress(fraction=0.6, message="half"), report_progress(message="more")):
        assert isinstance(decide(job, other, stamp()), events.Progressed)


def test_long_progress_text_is_cut_and_its_repetition_settles() -> None:
    """The text is cut before it is compared, so a repeated report leads to no event."""
    report = report_progress(message="x" * 5_000)
    job = drive([*RUNNING, report])
    assert job.state.progress == Progress(0.5, "x" * MAX_PROGRESS_CHARS)
    assert decide(job, report, stamp()) == Settled(job, conclusive=False)


def test_decide_takes_its_time_from_the_stamp_alone() -> None:
    """The same job, command and stamp give the same event, with the stamp's time."""
    job = drive(RUNNING)
    first, second = (decide_event(job, report_completed(), stamp("e3", 77)) for _ in range(2))
    assert first == second
    assert first.time == first.data.state.end_time == at(77)
    assert first.time > EPOCH


def test_claim_of_a_paused_type_is_refused_and_a_granted_one_stays_granted() -> None:
    """The pause grants nothing, and takes nothing away; other types go on."""
    queued, running = drive(WAYS["queued"]), drive(WAYS["running"])
    kind = JobKind(queued.state.item_type, queued.state.job_type)
    claimed = claim(1, A, "e1")
    paused = replace(claimed, paused={kind})
    other = replace(claimed, paused={JobKind("Item", "other")})

    assert decide(queued, paused, stamp()) == Refusal(Reason.PAUSED, conclusive=False)
    assert isinstance(decide(queued, other, stamp()), Started)
    assert decide(running, paused, stamp()) == Settled(running, conclusive=False)
    assert decide(running, replace(paused, executor_id=B), stamp()) == Refusal(
        Reason.GRANTED_TO_ANOTHER, conclusive=True
    )


@pytest.mark.parametrize(
    ("ended_s", "end_s"), [(None, 200), (100, 100), (5, 20), (9e6, 200)], ids=str
)
def test_end_time_is_the_handlers_between_the_attempts_start_and_now(
    ended_s: float | None, end_s: float
) -> None:
    """The report may be decided much later; an executor's clock that is wrong does no harm."""
    running = drive(RUNNING)
    running = replace(running, state=replace(running.state, attempt_start_time=at(20)))
    ended = None if ended_s is None else at(ended_s)
    event = decide_event(running, report_completed(handler_end_time=ended), stamp("end", 200))

    assert event.data.state.end_time == at(end_s)
    assert event.time == at(200)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("running", ReportFailed), ("stopping", ReportStopped), ("stopping", HandBack)],
    ids=str,
)
def test_end_time_is_the_handlers_for_every_report_that_ends_a_job(
    name: str, kind: Callable[..., Command]
) -> None:
    """A failure for good, a stop and a hand-back of a cancelled job end it as a success does."""
    error = {"error": failure(permanent=True)} if kind is ReportFailed else {}
    report = kind(job_id=JOB, attempt=1, executor_id=A, handler_end_time=at(100), **error)
    event = decide_event(drive(WAYS[name]), report, stamp("end", 200))

    assert event.data.state.end_time == at(100)
