"""The simulator itself: worlds are deterministic, faults have effects, breaches are found."""

import asyncio
import sqlite3
from collections.abc import Sequence
from random import Random
from typing import Any
from unittest.mock import AsyncMock

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Command, Request, fold
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.facade.replica import StoredJob
from tests.simulation import faults, shrink
from tests.simulation.coverage import Coverage, all_targets
from tests.simulation.faults import FAULTS, UNCLEAN, Fault
from tests.simulation.known_bugs import BUGS, installed_bug
from tests.simulation.loop import PLACE, Place, SimulatedLoop, StuckError
from tests.simulation.nodes import FacadeNode
from tests.simulation.run import Result, run_world
from tests.simulation.state_files import Trouble
from tests.simulation.unclean import Notices, run_unclean_world
from tests.simulation.world import Shape

SMALL = Shape(
    facades=2,
    executors=2,
    partitions=2,
    slots=3,
    read_ahead=5,
    max_pending=3,
    keeps_files=True,
    seconds=10.0,
    jobs=12,
)
#: A number that makes each fault choose what matters to a small world.
#: The step of the clock is one of two hours, which moved deadlines once.
NUMBERS = {"misfortune": 6, "change of leader": 2, "clock step": 28}
#: The brokers lose the last record of the only partition, which both replicas have applied.
LOSS = Fault(3.0, UNCLEAN, 0.0, 0)
#: Before the first replica fetches again, the partition has grown beyond the replica's position.
LOSS_OUT_OF_SIGHT = [Fault(2.99, "cut from Kafka", 3.0, 0), LOSS]


def run(script: list[Fault], jobs: Sequence[int] | None = None) -> Result:
    """Runs the small world with this script."""
    return run_world("unit", shape=SMALL, script=script, jobs=jobs)


@pytest.fixture(scope="module")
def quiet() -> Result:
    """The small world without faults."""
    return run([])


def test_run_world_without_faults_keeps_every_promise(quiet: Result) -> None:
    """Every job ends, within minutes."""
    assert quiet.held, quiet.breaches
    assert quiet.simulated_s < 600
    assert quiet.faults == 0


def test_run_world_twice_takes_the_same_steps(quiet: Result) -> None:
    """Ids, times and the order of callbacks come from the seed alone."""
    script = [Fault(3.0, "crash of facade", 2.0, 3), Fault(4.0, "misfortune", 0.0, 8)]
    first, second = run(script), run(script)

    assert (first.trace, first.steps) == (second.trace, second.steps)
    assert first.trace != quiet.trace


@pytest.mark.parametrize("name", FAULTS)
def test_fault_changes_the_world_and_breaks_no_promise(name: str, quiet: Result) -> None:
    """A fault without an effect would prove nothing."""
    result = run([Fault(4.0, name, 3.0, NUMBERS.get(name, 0))])

    assert result.held, result.breaches
    assert result.faults >= 1
    assert result.trace != quiet.trace


@pytest.mark.parametrize("script", [[LOSS], LOSS_OUT_OF_SIGHT], ids=["in sight", "out of sight"])
def test_unclean_world_loses_a_record_that_replicas_applied_and_each_reports_it(
    script: list[Fault],
) -> None:
    """The promises to all other jobs hold."""
    notices = Notices()
    shape = replace(SMALL, partitions=1)
    result = run_unclean_world("unit", shape=shape, script=script, notices=notices)

    assert result.held, result.breaches
    assert len(notices.holders) == 2
    assert notices.alerted == notices.holders.keys()


def test_unclean_world_whose_tails_ignore_the_leader_breaks_a_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kafka gives no error to a fetch behind which other records took the lost one's place."""
    monkeypatch.setattr(Tail, "_verify_leaders", AsyncMock())
    shape = replace(SMALL, partitions=1)
    result = run_unclean_world("unit", shape=shape, script=LOSS_OUT_OF_SIGHT)

    assert "unnoticed" in result.breaches


def test_run_world_of_a_facade_that_answers_before_the_log_names_the_lost_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug in the product's own code is seen by the validators."""

    execute = Jobs.execute

    async def answer_at_once(self: Jobs, command: Command, read_to: int | None = None) -> StoredJob:
        if not isinstance(command, Request):
            return await execute(self, command, read_to)
        event: Any = self._decider.decide(command, None)[0]
        _, job = fold(None, event)
        assert job is not None
        return StoredJob(job, 0, 0, 0)

    monkeypatch.setattr(Jobs, "execute", answer_at_once)
    result = run([], jobs=[0, 1])

    assert result.breaches["lost"]


@pytest.mark.parametrize("name", BUGS)
def test_known_bug_can_be_put_into_the_product(name: str) -> None:
    """A function that is renamed must be renamed in the list of bugs too."""
    with installed_bug(name):
        pass


def test_run_world_with_a_known_bug_breaks_a_promise() -> None:
    """The validators see what the product does wrong."""
    with installed_bug("a backoff never ends"):
        assert run([], jobs=range(12)).breaches["wrong_ends"]


def test_run_world_whose_facade_answers_from_a_failed_state_file_breaks_a_promise() -> None:
    """The file is damaged while brokers say that the facade's offsets are out of range."""
    shape = replace(SMALL, max_pending=5000, jobs=100)
    script = [Fault(4.0, "failed state file", 0.5, 5)]
    name = "a state file that fails while the facade forgets its jobs still answers"
    with installed_bug(name):
        broken = run_world("unit", shape=shape, script=script)

    assert "not_linearizable" in broken.breaches
    assert run_world("unit", shape=shape, script=script).held


@pytest.mark.parametrize(
    ("number", "ends"), [(0, 0), (3, 0), (6, 1)], ids=["read", "write", "full"]
)
def test_state_file_that_fails_is_built_again_if_damaged_and_ends_the_facade_if_the_disk_is_full(
    number: int, ends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each facade is expected to end for a full disk only."""
    failures, expected = list[str](), list[bool]()
    meet, is_expected = Trouble.meet, FacadeNode.is_expected

    def observed_meet(trouble: Trouble, statement: str, now: float) -> None:
        try:
            meet(trouble, statement, now)
        except sqlite3.DatabaseError:
            failures.append(statement)
            raise

    def observed_end(facade: FacadeNode, error: BaseException | None) -> bool:
        expected.append(is_expected(facade, error))
        return expected[-1]

    monkeypatch.setattr(Trouble, "meet", observed_meet)
    monkeypatch.setattr(FacadeNode, "is_expected", observed_end)
    result = run([Fault(4.0, "failed state file", 2.0, number)])

    assert result.held, result.breaches
    assert failures
    assert bool(expected) is bool(ends)
    assert all(expected)


def test_shrink_keeps_only_what_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault and one job are left of many."""

    def fake_run(seed: str, *, shape: Shape, script: list[Fault], jobs: list[int]) -> Result:
        fails = any(fault.name == "cut" for fault in script) and 3 in jobs
        return Result(seed, {"lost": ["a job"]} if fails else {})

    script = [Fault(float(at), name, 1.0, 0) for at, name in enumerate(["stop", "cut", "pause"])]
    monkeypatch.setattr(shrink, "run_world", fake_run)
    monkeypatch.setattr(shrink, "make_script", lambda *_: script)
    found = shrink.shrink("unit", {"lost"}, within_s=10.0)

    assert [fault.name for fault in found.script] == ["cut"]
    assert list(found.jobs) == [3]


def test_make_script_of_a_seed_is_always_the_same() -> None:
    """The shrinker needs this, because it makes the script of a seed again."""
    assert faults.make_script("7", 60.0, 1.0) == faults.make_script("7", 60.0, 1.0)
    assert faults.make_script("7", 60.0, 1.0) != faults.make_script("8", 60.0, 1.0)


def test_coverage_names_what_never_happened() -> None:
    """A run without worlds has reached nothing."""
    coverage = Coverage()
    assert coverage.missing() == sorted(all_targets())

    run_world("unit", shape=SMALL, script=[Fault(2.0, "cut", 60.0, 0)], coverage=coverage)
    assert "None -> Requested" not in coverage.missing()


def test_loop_time_jumps_to_the_next_timer() -> None:
    """An hour costs no real time."""
    loop = SimulatedLoop(Random(1))
    loop.run_until_complete(loop.create_task(asyncio.sleep(3600)))

    assert 3600 <= loop.time() < 3601
    loop.close()


def test_loop_place_that_is_buried_runs_nothing_more() -> None:
    """A crash ends a node between two of its callbacks; no `finally` runs."""
    loop, place, seen = SimulatedLoop(Random(1)), Place("node", 1), list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("cleaned up")

    def start() -> None:
        PLACE.set(place)
        loop.create_task(work())

    loop.call_soon(start)
    loop.call_later(0.5, loop.bury, place)
    loop.run_until_complete(loop.create_task(asyncio.sleep(5)))
    assert seen == []
    loop.close_tasks()
    loop.close()


def test_loop_without_timers_and_callbacks_is_stuck() -> None:
    """A world in which nothing can happen ends with an error."""
    loop = SimulatedLoop(Random(1))
    with pytest.raises(StuckError):
        loop.run_until_complete(loop.create_future())
    loop.close()
