"""The same seed gives the same run."""

from collections import Counter
from itertools import islice
from random import Random

from tests.chaos.failpoints import FAILPOINTS, Fault, schedule
from tests.chaos.handlers import KINDS
from tests.chaos.traffic import Plan, plans


def drawn(plan: Plan) -> tuple[object, ...]:
    """A plan, and what its dice will say."""
    return plan.job, plan.kind, plan.doubled, plan.impatience_s, plan.cancel, plan.dice.random()


def test_same_seed_makes_the_same_jobs() -> None:
    """Ids, kinds, repetitions, cancels and every later choice are equal."""
    first, again, other = ([drawn(one) for one in islice(plans(seed), 500)] for seed in (1, 1, 2))

    assert first == again
    assert {job[0] for job in first}.isdisjoint(job[0] for job in other)


def test_jobs_of_a_seed_have_every_kind() -> None:
    """Some are doubled, impatient or cancelled, and each kind has its handler."""
    made = list(islice(plans(1), 1000))

    assert {one.kind for one in made} == KINDS.keys()
    assert {one.cancel for one in made} == {"", "at once", "running"}
    assert {one.doubled for one in made} == {True, False}
    assert 0 < sum(one.impatience_s is not None for one in made) < 200


def test_same_seed_schedules_the_same_faults() -> None:
    """They come in the same order, in the same pairs and with the same random choices."""
    first, again, other = (
        [(one.name, one.dice.random()) for one in islice(schedule(seed), 100)] for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_round_has_every_kind_of_fault_once() -> None:
    """A run with enough rounds has enough faults of each kind."""
    rounds = 20
    single = (one for one in schedule(7) if len(one.failpoints) == 1)
    names = Counter(one.name for one in islice(single, rounds * len(FAILPOINTS)))

    assert names == {one.name: rounds for one in FAILPOINTS}


def test_every_eighth_fault_is_a_pair_that_breaks_two_things() -> None:
    """Some pairs come together, and some one after the other."""
    faults = list(islice(schedule(3), 400))
    pairs = [one for one in faults if one.kind == "pair"]

    assert [len(one.failpoints) for one in faults[:16]] == 2 * [1, 1, 1, 1, 1, 1, 1, 2]
    assert all(len({one.target for one in pair.failpoints}) == 2 for pair in pairs)
    assert {pair.together for pair in pairs} == {True, False}


def test_pair_disturbs_the_log_if_one_of_its_faults_does() -> None:
    """Answers may be old during all of it."""
    broker, facade = (
        next(one for one in FAILPOINTS if one.target == target) for target in ("broker", "facade")
    )

    assert Fault((facade, broker), True, Random(0)).disturbs_log
    assert not Fault((facade,), False, Random(0)).disturbs_log


def test_faults_of_one_target_make_no_pairs() -> None:
    """A run of one kind of fault repeats it."""
    one = FAILPOINTS[0]

    assert [fault.name for fault in islice(schedule(1, [one]), 8)] == [one.name] * 8
