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
    TimeOutRun,
)
from tests.support.lifecycle import (
    JOB,
    A,
    B,
    cancel,
    claim,
    completed,
    deadlines,
    failed,
    hand_back,
    lose_lease,
    progressed,
    request,
    retry,
    stopped,
)
from tests.unit.facade.lifecycle.search import EXECUTORS, Search


def every_command(search: Search) -> list[Command]:
    """All that anybody could ask of any job reached, by whomever and about whichever attempt."""
    asked: list[Command] = [request(), request(request_hash="hash-2"), cancel(), retry(1), retry(2)]
    asked += [Expire(job_id=JOB), FailUnstarted(job_id=JOB), *deadlines(1), *deadlines(2)]
    dispatch_ids = {job.dispatch_id for n in search.jobs if (job := search.job(n))}
    for attempt, executor in product((1, 2), EXECUTORS):
        asked += [claim(attempt, executor, dispatch_id) for dispatch_id in sorted(dispatch_ids)]
        for report in (progressed, completed, failed, stopped, hand_back, lose_lease):
            asked.append(report(attempt, executor))
    return asked


DEADLINES = (TimeOutRun, ForceCancel, Expire, FailUnstarted)
SEARCHES: dict[str, tuple[dict[str, Any], int]] = {
    "reports and leases": ({"left_out": DEADLINES}, 78_276),
    "deadlines": ({"left_out": (ReportFailed, LoseLease)}, 31_075),
    "one decides, late": ({"deciding": 1, "late": True, "left_out": DEADLINES}, 52_749),
    "two decide, late": (
        {
            "late": True,
            "left_out": (*DEADLINES, RequestCancel, ReportCompleted, ReportFailed),
        },
        61_257,
    ),
}


@pytest.fixture(scope="module", params=SEARCHES)
def search(request: pytest.FixtureRequest) -> Search:
    """The search, done once: what must hold in each state is asserted on the way."""
    options, states = SEARCHES[request.param]
    search = Search(**options)
    print(f"{len(search.states)} states, {search.transitions} transitions, {len(search.jobs)} jobs")
    # Fewer or more states are no fault in themselves: write the number anew when the rules change.
    assert len(search.states) == states
    return search


def test_no_interleaving_grants_twice_changes_a_final_state_or_parts_the_replicas(
    search: Search,
) -> None:
    """All the searched states hold the invariants; among them are second attempts and all ends."""
    granted = {grant for state in search.states for grant in state.grants}
    ended = {job.state.status for n in search.jobs if (job := search.job(n)) and job.final}
    # Where nothing comes late, B as the first is A as the first with the names exchanged.
    first = {(1, A), (1, B)} if search.late else {(1, A)}
    assert granted == first | {(2, A), (2, B)}
    assert ended == (
        {"Failed"} if RequestCancel in search.left_out else {"Completed", "Failed", "Cancelled"}
    )


def test_every_living_job_has_a_way_on_and_no_final_one_has(search: Search) -> None:
    """Something that may happen leads on from every state of the job but a final one."""
    led = {before for before, _ in search.moves}
    for number in search.jobs:
        job = search.job(number)
        assert (number in led) == (job is None or not job.final)


def test_no_conclusive_refusal_is_contradicted_by_any_further_reading(search: Search) -> None:
    """Where a command is refused for good, no later state of the job would let it succeed."""
    later: dict[int, set[int]] = {number: set() for number in search.jobs}
    # An event always leads to a higher sequence: the last jobs first.
    for before, after in sorted(search.moves, key=lambda move: -search.sequence(move[0])):
        later[before] |= {after, *later[after]}
    wrong = set()
    for command in map(search.number, every_command(search)):
        for number, further in later.items():
            decision = search.decide(number, command, "r0")
            if isinstance(decision, Refusal) and decision.conclusive:
                for succeeds in further:
                    if not isinstance(search.decide(succeeds, command, "r0"), Refusal):
                        wrong.add((type(search.things[command]).__name__, search.phase(number)))
    assert wrong == set()
