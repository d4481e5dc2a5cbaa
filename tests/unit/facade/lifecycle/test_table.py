"""The result of every command in every phase, written out."""

from collections.abc import Iterator

import pytest

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.contract.jobs import JobInstanceStatus as Status
from fabric_jobs.contract.jobs import JobPhase as Phase
from fabric_jobs.facade.lifecycle import (
    Command,
    Expire,
    FailUnstarted,
    Reason,
    Refusal,
    RequestRetry,
    Settled,
    decide,
    fold,
)
from fabric_jobs.facade.lifecycle.table import TABLE
from tests.support.lifecycle import (
    JOB,
    PHASES,
    WAYS,
    A,
    B,
    cancel,
    claim,
    deadline_commands,
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

#: An event, and the phase and the status after it.
Led = tuple[type[KnownEvent], Phase, Status]
SETTLED = "settled"
#: Not conclusive, because the run may have ended since.
SETTLED_SO_FAR = "settled so far"
NOT_FOUND = Refusal(Reason.NOT_FOUND, conclusive=False)
NOT_YET = Refusal(Reason.NOT_DISPATCHED, conclusive=False)
NOT_CANCELLED = Refusal(Reason.NOT_CANCELLED, conclusive=False)
CONFLICT = Refusal(Reason.CONFLICT, conclusive=True)
ANOTHER = Refusal(Reason.GRANTED_TO_ANOTHER, conclusive=True)
OVER = Refusal(Reason.SUPERSEDED, conclusive=True)
FINAL = Refusal(Reason.FINAL, conclusive=True)
NOT_FINAL = Refusal(Reason.NOT_FINAL, conclusive=False)
#: Not conclusive, because a cancel of the waiting job would settle the command.
OVER_SO_FAR = Refusal(Reason.SUPERSEDED, conclusive=False)
Expected = Led | str | Refusal

CANCELLED: Led = (events.Cancelled, Phase.ENDED, Status.CANCELLED)
COMPLETED: Led = (events.Completed, Phase.ENDED, Status.COMPLETED)
FAILED: Led = (events.Failed, Phase.ENDED, Status.FAILED)
STARTED: Led = (events.Started, Phase.RUNNING, Status.IN_PROGRESS)
REQUEUED: Led = (events.Requeued, Phase.QUEUED, Status.IN_PROGRESS)


def commands(attempt: int, dispatch_id: str) -> dict[str, tuple[Command, ...]]:
    """Every command by a label, for the job's attempt and by its holder A unless labelled so."""

    def reports(attempt: int, by: str) -> tuple[Command, ...]:
        runs = (
            report_progress,
            save_checkpoint,
            report_completed,
            report_failed,
            report_stopped,
            hand_back,
            lose_lease,
        )
        return tuple(report(attempt, by) for report in runs)

    return {
        "request": (request(),),
        "request of other content": (request(request_hash="hash-2"),),
        "claim": (claim(attempt, A, dispatch_id),),
        "claim by B": (claim(attempt, B, dispatch_id),),
        "claim on another record": (claim(attempt, A, "e99"), claim(attempt, B, "e99")),
        "claim of an earlier attempt": (claim(attempt - 1, A, "e1"),),
        "claim of a later attempt": (claim(attempt + 1, A, "e99"),),
        "progress": (report_progress(attempt),),
        "checkpoint": (save_checkpoint(attempt),),
        "complete": (report_completed(attempt),),
        "fail": (report_failed(attempt),),
        "fail for good": (report_failed(attempt, error=failure(permanent=True)),),
        "stop": (report_stopped(attempt),),
        "hand back": (hand_back(attempt),),
        "lose lease": (lose_lease(attempt),),
        "report by B": reports(attempt, B),
        "report of an earlier attempt": reports(attempt - 1, A),
        "report of a later attempt": reports(attempt + 1, A),
        "retry": (retry(attempt),),
        "time out": deadline_commands(attempt)[:1],
        "force the cancel": deadline_commands(attempt)[1:],
        "time over for an earlier attempt": (retry(attempt - 1), *deadline_commands(attempt - 1)),
        "time over for a later attempt": (retry(attempt + 1), *deadline_commands(attempt + 1)),
        "fail unstarted": (FailUnstarted(job_id=JOB),),
        "expire": (Expire(job_id=JOB),),
        "cancel": (cancel(),),
        "retry by request": (RequestRetry(job_id=JOB),),
    }


RUN = (
    "progress",
    "checkpoint",
    "complete",
    "fail",
    "fail for good",
    "stop",
    "hand back",
    "lose lease",
)
ANY_KNOWN: dict[str, Expected] = {
    "request": SETTLED,
    "request of other content": CONFLICT,
    "claim on another record": NOT_YET,
    "claim of an earlier attempt": OVER,
    "claim of a later attempt": NOT_YET,
    "report by B": ANOTHER,
    "report of an earlier attempt": OVER,
    "report of a later attempt": NOT_YET,
    "retry": SETTLED,
    "time out": SETTLED,
    "force the cancel": SETTLED,
    "time over for an earlier attempt": SETTLED,
    "time over for a later attempt": NOT_YET,
    "fail unstarted": SETTLED,
    "expire": FAILED,
    "cancel": SETTLED,
    "retry by request": NOT_FINAL,
}
QUEUED: dict[str, Expected] = {
    **ANY_KNOWN,
    **dict.fromkeys((*RUN, "report by B"), NOT_YET),
    "claim": STARTED,
    "claim by B": STARTED,
    "cancel": CANCELLED,
    "fail unstarted": FAILED,
}
RUNNING: dict[str, Expected] = {
    **ANY_KNOWN,
    "claim": SETTLED_SO_FAR,
    "claim by B": ANOTHER,
    "progress": (events.Progressed, Phase.RUNNING, Status.IN_PROGRESS),
    "checkpoint": (events.Checkpointed, Phase.RUNNING, Status.IN_PROGRESS),
    "complete": COMPLETED,
    "fail": (events.AttemptFailed, Phase.WAITING, Status.IN_PROGRESS),
    "fail for good": FAILED,
    "stop": NOT_CANCELLED,
    "hand back": REQUEUED,
    "lose lease": REQUEUED,
    "time out": (events.AttemptFailed, Phase.WAITING, Status.IN_PROGRESS),
    "cancel": (events.CancelRequested, Phase.STOPPING, Status.IN_PROGRESS),
}
ENDED: dict[str, Expected] = {
    **ANY_KNOWN,
    **dict.fromkeys((*RUN, "claim", "claim by B"), FINAL),
    "claim of an earlier attempt": FINAL,
    "claim of a later attempt": FINAL,
    "expire": SETTLED,
    "retry by request": SETTLED,
}
EXPECTED: dict[str, dict[str, Expected]] = {
    "unknown": {
        **dict.fromkeys(commands(1, "e1"), NOT_FOUND),
        "request": (events.Requested, Phase.QUEUED, Status.NOT_STARTED),
        "request of other content": (events.Requested, Phase.QUEUED, Status.NOT_STARTED),
    },
    "queued": QUEUED,
    "queued again": {**QUEUED, "fail unstarted": SETTLED},
    "running": RUNNING,
    "running again": RUNNING,
    "stopping": {
        **RUNNING,
        "progress": (events.Progressed, Phase.STOPPING, Status.IN_PROGRESS),
        "checkpoint": (events.Checkpointed, Phase.STOPPING, Status.IN_PROGRESS),
        "fail": CANCELLED,
        "stop": CANCELLED,
        "hand back": CANCELLED,
        "lose lease": CANCELLED,
        "time out": SETTLED,
        "force the cancel": CANCELLED,
        "expire": CANCELLED,
        "cancel": SETTLED,
    },
    "waiting": {
        **ANY_KNOWN,
        **dict.fromkeys(("claim", "claim by B", "progress", "checkpoint", "complete"), OVER),
        **dict.fromkeys(("stop", "hand back"), OVER_SO_FAR),
        **dict.fromkeys(("fail", "fail for good", "lose lease"), SETTLED),
        "retry": REQUEUED,
        "cancel": CANCELLED,
    },
    "completed": {**ENDED, "complete": SETTLED, "lose lease": SETTLED},
    "failed": {**ENDED, **dict.fromkeys(("fail", "fail for good", "lose lease"), SETTLED)},
    "stopped": {
        **ENDED,
        **dict.fromkeys(("fail", "fail for good", "stop", "hand back", "lose lease"), SETTLED),
    },
    "cancelled": {**ENDED, **dict.fromkeys((*RUN, "report by B"), NOT_YET)},
}


def cells() -> Iterator[tuple[str, str, Command, Expected]]:
    """Yields each phase's name, label, command and expected result."""
    for name, row in EXPECTED.items():
        job = job_in(name)
        attempt, dispatch_id = (job.state.attempt, job.dispatch_id) if job else (1, "e1")
        for label, variants in commands(attempt, dispatch_id).items():
            for command in variants:
                yield name, label, command, row[label]


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        pytest.param(name, command, expected, id=f"{name}: {label} ({type(command).__name__})")
        for name, label, command, expected in cells()
    ],
)
def test_each_command_in_each_phase_leads_to_its_expected_result(
    name: str, command: Command, expected: Expected
) -> None:
    """An event with the phase and status after it, a refusal, or success without an event."""
    job = job_in(name)
    decision = decide(job, command, stamp())
    if expected in (SETTLED, SETTLED_SO_FAR):
        assert job is not None
        assert decision == Settled(job, conclusive=expected == SETTLED)
    elif isinstance(expected, Refusal):
        assert decision == expected
    else:
        assert isinstance(decision, KnownEvent), decision
        state = decision.data.state
        assert (type(decision), state.phase, state.status) == expected
        _, after = fold(job, decision)
        assert after is not None
        assert after.state == state


def test_expected_results_cover_every_phase_and_every_command() -> None:
    """No phase, no way to a phase and no type of command is left out of the expected results."""
    kinds = {type(command) for _, _, command, _ in cells()}
    assert kinds == set(Command.__args__)
    assert set(EXPECTED) == set(WAYS) == set(PHASES)
    assert {*PHASES.values()} == {None, *Phase}
    for name, row in EXPECTED.items():
        assert row.keys() == commands(1, "e1").keys(), name
        job = job_in(name)
        assert (job.state.phase if job else None) is PHASES[name]


def test_commands_reach_exactly_the_pairs_of_table() -> None:
    """The commands lead to each (phase, event) of `TABLE` and to no other."""
    reached = {
        (PHASES[name], expected[0], expected[1])
        for name, _, _, expected in cells()
        if isinstance(expected, tuple)
    }
    table = {(before, kind, after) for before, row in TABLE.items() for kind, after in row.items()}
    assert reached == table
