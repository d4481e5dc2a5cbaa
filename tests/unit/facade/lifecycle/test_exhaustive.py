"""What holds in every state that two executors and two replicas can bring a job to."""

from itertools import product
from typing import Any

import pytest

from fabric_jobs.facade.lifecycle import (
    Command,
    Expire,
    FailUnstarted,
    ForceCancel,
    LoseLease,
    Refusal,
    ReportCompleted,
    ReportFailed,
    RequestCancel,
    SaveCheckpoint,
    Settled,
    TimeOutRun,
)
from fabric_jobs.facade.lifecycle.commands import TimeCommand
from tests.support.lifecycle import (
    JOB,
    A,
    B,
    cancel,
    claim,
    deadline_commands,
    hand_back,
    lose_lease,
    report_completed,
    report_failed,
    report_progress,
    report_stopped,
    request,
    retry,
    save_checkpoint,
)
from tests.unit.facade.lifecycle.search import EXECUTORS, Search


def every_command(search: Search) -> list[Command]:
    """Every command on a job that was reached, by each executor and for each attempt."""
    asked: list[Command] = [request(), request(request_hash="hash-2"), cancel(), retry(1), retry(2)]
    asked += [
        Expire(job_id=JOB),
        FailUnstarted(job_id=JOB),
        *deadline_commands(1),
        *deadline_commands(2),
    ]
    dispatch_ids = {job.dispatch_id for n in search.jobs if (job := search.job(n))}
    for attempt, executor in product((1, 2), EXECUTORS):
        asked += [claim(attempt, executor, dispatch_id) for dispatch_id in sorted(dispatch_ids)]
        for report in (
            report_progress,
            save_checkpoint,
            report_completed,
            report_failed,
            report_stopped,
            hand_back,
            lose_lease,
        ):
            asked.append(report(attempt, executor))
    return asked


DEADLINES = (TimeOutRun, ForceCancel, Expire, FailUnstarted)
SEARCHES: dict[str, tuple[dict[str, Any], int]] = {
    "reports and leases": ({"left_out": (*DEADLINES, SaveCheckpoint)}, 78_276),
    "deadlines": ({"left_out": (ReportFailed, LoseLease, SaveCheckpoint)}, 31_075),
    "one decides, late": (
        {"deciding": 1, "late": True, "left_out": (*DEADLINES, SaveCheckpoint)},
        52_749,
    ),
    "checkpoints": (
        {"left_out": (*DEADLINES, RequestCancel, ReportCompleted, ReportFailed)},
        19_310,
    ),
    "one decides, late checkpoints": (
        {
            "deciding": 1,
            "late": True,
            "left_out": (*DEADLINES, RequestCancel, ReportCompleted, ReportFailed),
        },
        12_978,
    ),
    "two decide, late": (
        {
            "late": True,
            "left_out": (
                *DEADLINES,
                RequestCancel,
                ReportCompleted,
                ReportFailed,
                SaveCheckpoint,
            ),
        },
        61_257,
    ),
}


@pytest.fixture(scope="module", params=SEARCHES)
def search(request: pytest.FixtureRequest) -> Search:
    """One search per parameter; it asserts the invariants in each state that it reaches."""
    options, states = SEARCHES[request.param]
    search = Search(**options)
    print(f"{len(search.states)} states, {search.transitions} transitions, {len(search.jobs)} jobs")
    # Another number of states is no fault in itself: update it when the rules change.
    assert len(search.states) == states
    return search


def test_every_interleaving_grants_once_and_keeps_final_states_and_replicas_equal(
    search: Search,
) -> None:
    """The invariants hold in all searched states, among them second attempts and all ends."""
    granted = {grant for state in search.states for grant in state.grants}
    ended = {job.state.status for n in search.jobs if (job := search.job(n)) and job.final}
    # Without late appends, the search lets A act first: B first would give the same states.
    first = {(1, A), (1, B)} if search.late else {(1, A)}
    assert granted == first | {(2, A), (2, B)}
    assert ended == (
        {"Failed"} if RequestCancel in search.left_out else {"Completed", "Failed", "Cancelled"}
    )


def test_every_unfinished_job_can_change_and_no_final_job_can(search: Search) -> None:
    """From every unfinished state some possible event leads on; from no final state does any."""
    led = {before for before, _ in search.moves}
    for number in search.jobs:
        job = search.job(number)
        assert (number in led) == (job is None or not job.final)


def test_conclusive_answer_holds_in_every_later_state(search: Search) -> None:
    """A refused command succeeds in no later state of the job; a settled one leads to no event.

    Settled time commands are left out: they answer nobody, and timers look again.
    """
    later: dict[int, set[int]] = {number: set() for number in search.jobs}
    # Each event raises the sequence, so the jobs with the highest sequence come first.
    for before, after in sorted(search.moves, key=lambda move: -search.sequence(move[0])):
        later[before] |= {after, *later[after]}
    wrong = set()
    for asked in every_command(search):
        command = search.number(asked)
        for number, further in later.items():
            decision = search.decide(number, command, "r0")
            undoing: tuple[type, ...]
            if isinstance(decision, Refusal) and decision.conclusive:
                undoing = (int, Settled)
            elif isinstance(decision, Settled) and decision.conclusive:
                undoing = () if isinstance(asked, TimeCommand) else (int,)
            else:
                continue
            if any(isinstance(search.decide(one, command, "r0"), undoing) for one in further):
                wrong.add((type(asked).__name__, search.phase(number)))
    assert wrong == set()
