"""What an event carries beside its phase: numbers, times, errors, the dispatch."""

from time import process_time

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fabric_jobs import events
from fabric_jobs.events import AttemptFailedData, RequeuedData, RequeueReason
from fabric_jobs.jobs import (
    MAX_CODE_CHARS,
    MAX_ERROR_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_PROGRESS_CHARS,
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    JobInstanceStatus,
    JobPhase,
    NameValuePair,
    Policy,
    Progress,
)
from facade.lifecycle import Command, Job, Settled, decide
from facade.lifecycle.retry import backoff_s
from facade.settings import EVENT_REST_BYTES
from tests.unit.lifecycle.builders import (
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
LARGEST = ErrorResponse(
    error_code="\x00" * 10_000,
    message="\x00" * 100_000,
    source=ErrorSource.EXTERNAL,
    message_parameters=("\x00" * 300,) * 200,
    more_details=(
        ErrorExtendedInformation(
            error_code="x" * 1_000,
            message="y" * 5_000,
            message_parameters=("z" * 300,) * 10,
            additional_parameters=(NameValuePair("n" * 300, "v" * 300),) * 10,
        ),
    )
    * 20,
)


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


def test_hand_backs_never_exhaust_the_policy() -> None:
    """A run given back at every drain goes on for ever, also where one attempt is all there is."""
    job = driven([request()])
    for attempt in range(1, 6):
        once = Policy(max_attempts=1)
        job = driven([claim(attempt, A, "", policy=once), hand_back(attempt)], job)
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


def test_the_final_error_lists_the_earlier_ones_latest_first() -> None:
    """The last attempt's error is the job's; each earlier one follows with its attempt."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    job = driven([lose_lease(2, B), claim(3, A, ""), failed(3, error=failure("Third"))], job)
    error = job.state.error
    assert error is not None
    assert error.error_code == "Third"
    assert [(d.error_code, d.additional_parameters) for d in error.more_details] == [
        ("ExecutorLost", (NameValuePair("attempt", "2"),)),
        ("First", (NameValuePair("attempt", "1"),)),
    ]


def test_an_earlier_error_names_its_own_attempt_also_past_a_hand_back() -> None:
    """Attempt 1 failed, 2 was handed back, 3 failed: the earlier error is attempt 1's."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    job = driven([hand_back(2, B), claim(3, A, ""), failed(3, error=failure("Third"))], job)
    assert job.state.error is not None
    [detail] = job.state.error.more_details
    assert (detail.error_code, detail.additional_parameters) == (
        "First",
        (NameValuePair("attempt", "1"),),
    )


def test_an_attempt_failed_event_carries_the_attempts_own_error() -> None:
    """The event's error is this attempt's alone; the state's lists what came before."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    event = decided(job, failed(2, B, failure("Second")), stamp())
    assert isinstance(event.data, AttemptFailedData)
    assert event.data.error == failure("Second")
    assert event.data.state.error is not None
    assert len(event.data.state.error.more_details) == 1


def test_a_lost_lease_is_an_error_of_ours_that_names_the_executor() -> None:
    """Fabric's user reads that the service lost the run, not that the job's code failed."""
    error = driven([*RUNNING, lose_lease()]).state.error
    assert error is not None
    assert (error.source, error.is_permanent) == (ErrorSource.SYSTEM, False)
    assert A in error.message


def test_error_texts_are_cut_to_their_bounds() -> None:
    """Code, message and the whole error are bounded; what fits is left as it is."""
    bounded = LARGEST.bounded()
    assert bounded.error_code == "\x00" * MAX_CODE_CHARS
    assert bounded.message == "\x00" * MAX_MESSAGE_CHARS
    assert len(msgspec.json.encode(bounded)) <= MAX_ERROR_BYTES
    assert bounded.bounded() == bounded
    assert failure().bounded() == failure()


def test_a_huge_error_is_cut_without_holding_up_the_replica() -> None:
    """Cutting takes time in proportion: a report of 10,000 details costs far below a second."""
    detail = ErrorExtendedInformation(error_code="E", message="m")
    error = replace(LARGEST, message_parameters=(), more_details=(detail,) * 10_000)
    begun = process_time()
    error.bounded()
    assert process_time() - begun < 1


def test_the_last_details_go_before_the_texts_parameters() -> None:
    """A too large error keeps its first details, in order."""
    details = tuple(
        ErrorExtendedInformation(error_code=str(n), message="m" * 900) for n in range(30)
    )
    error = ErrorResponse(
        error_code="E",
        message="m",
        source=ErrorSource.USER,
        message_parameters=("p",),
        more_details=details,
    )
    bounded = error.bounded()
    assert bounded.message_parameters == ("p",)
    assert 10 < len(bounded.more_details) < 30
    assert bounded.more_details == details[: len(bounded.more_details)]


def test_the_rest_of_the_largest_event_stays_within_what_the_topic_must_carry() -> None:
    """After failures at every bound, no event's part beside its payload exceeds the promise."""
    policy = Policy(max_attempts=100, initial_backoff_s=0)
    job, largest = driven([request()]), 0
    for attempt in range(1, 4):
        job = driven([claim(attempt, A, "", policy=policy)], job)
        job = driven([progressed(attempt, message="\x00" * 5_000)], job)
        for last in (failed(attempt, error=LARGEST), hand_back(attempt)):
            largest = max(largest, len(events.encode(decided(job, last, stamp("e" * 36)))))
        job = driven([failed(attempt, error=LARGEST), retry(attempt)], job)
    assert 2 * 8_192 < largest - len(PAYLOAD) <= EVENT_REST_BYTES


def test_deciding_uses_no_clock_of_its_own() -> None:
    """The same job, command and stamp give the same event, with the stamp's time."""
    job = driven(RUNNING)
    first, second = (decided(job, completed(), stamp("e3", 77)) for _ in range(2))
    assert first == second
    assert first.time == first.data.state.end_time == at(77)
    assert first.time > EPOCH
